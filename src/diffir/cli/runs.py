"""diffir runs: the progress of trainings."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .app import app, counted, explained, fail, out, say

if TYPE_CHECKING:
    from diffir.training.runs import RunSummary


@app.command()
@explained
def runs(
    folder: Annotated[
        Path, typer.Argument(help="A run, or a folder with runs up to three levels below")
    ] = Path(),
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Plot the run's curves into this file")
    ] = None,
) -> None:
    """List trainings: progress, latest score, and when each last logged something."""
    from diffir.training.runs import find_runs

    if not folder.is_dir():
        raise fail(f"{folder} is not a folder; name a run, or a folder with runs")
    found = find_runs(folder)
    if plot:
        draw(found, folder, plot)
    elif found:
        show(found, folder)
    else:
        say(f"no runs in {folder}")


def draw(found: "list[RunSummary]", folder: Path, plot: Path) -> None:
    """Plot the run in a folder."""
    from diffir.training.plot import plot_run

    if folder not in [run.folder for run in found]:
        below = f" but has {counted(len(found), 'run')} below it" if found else ""
        raise fail(f"{folder} is not a run{below}; name the folder of one run to plot")
    plot_run(folder, plot)
    say(f"{plot}: the curves of {folder}")


def show(found: "list[RunSummary]", folder: Path) -> None:
    """Print a table of runs."""
    table = Table(box=None)
    for heading in ("name", "folder", "phase", "step", "done", "PSNR", "changed", "finished"):
        whole = heading not in ("name", "folder")  # these two wrap where it is narrow
        table.add_column(heading, no_wrap=whole, overflow="fold")
    for run in found:
        table.add_row(
            run.name,
            str(run.folder.relative_to(folder)),
            run.phase or "not started",
            f"{run.step}/{run.steps}",
            f"{math.floor(100 * run.share)} %",  # 100 % only when it is finished
            score_of(run.scores),
            ago(time.time() - run.changed),
            "yes" if run.finished else "no",
        )
    out.print(table)


def score_of(scores: dict[str, float]) -> str:
    """The mean over all data sets, or else the first score."""
    values = [scores["psnr"]] if "psnr" in scores else [*scores.values()]
    return f"{values[0]:.2f} dB" if values else ""


def ago(seconds: float) -> str:
    """A duration in the past, in one unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return "just now"
