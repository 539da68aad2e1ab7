"""diffir restore: pictures in, better pictures out."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from .app import USER_MISTAKE, Device, app, complain, err, explained, fail, out, say

if TYPE_CHECKING:
    from diffir.inference.batch import Outcome


@app.command()
@explained
def restore(
    sources: Annotated[list[Path], typer.Argument(metavar="IN...", help="Pictures and folders")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="A file for one picture; a folder otherwise"),
    ],
    model: Annotated[
        str, typer.Option(help="A name from `diffir models`, or a weights file")
    ] = "sr-x4-lite",
    mask: Annotated[
        Path | None,
        typer.Option(
            help="For inpainting: a picture of equal size, white (or transparent) = hole; or a "
            "folder of masks with the pictures' names. Without it, what is transparent is filled"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same seed, same bits")] = 0,
    device: Device = "auto",
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(help="bfloat16 is faster on some machines, and less exact"),
    ] = "float32",
    memory: Annotated[
        str | None,
        typer.Option(help="What a picture may take: 500MB, 2GB; else what is free. Same result"),
    ] = None,
    suffix: Annotated[
        str | None, typer.Option("--format", help="Of files in a folder, say png; else as read")
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="Largest picture to read; raise it if you trust yours")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there")] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Say of each picture what it will take")
    ] = False,
) -> None:
    """Restore pictures, or every picture in folders (their structure is kept)."""
    from diffir.images import MAX_PIXELS
    from diffir.inference import Restorer
    from diffir.inference.batch import plan, restore_files
    from diffir.inference.engine import bytes_of
    from diffir.tasks import unwanted_mask

    jobs = plan(sources, output, mask, suffix and "." + suffix.lstrip(".").lower())
    if jobs[0].target == output and output.exists() and not overwrite:
        raise fail(f"{output} exists; choose another name or add --overwrite")
    budget = None if memory is None else bytes_of(memory)
    restorer = Restorer.from_pretrained(model, device=device, precision=precision, memory=budget)
    if mask and not restorer.task.wants_mask:
        raise unwanted_mask(restorer.task.name)
    if verbose:
        tell_plans()
    began = time.monotonic()
    outcomes = []
    with files_bar(len(jobs)) as progress:
        for outcome in restore_files(
            restorer,
            jobs,
            seed=seed,
            overwrite=overwrite,
            max_pixels=max_pixels or MAX_PIXELS,
            progress=progress,
        ):
            report(outcome)
            outcomes.append(outcome)
    summarise(outcomes, time.monotonic() - began)


def tell_plans() -> None:
    """Let what the engine plans for each picture be printed above the bar."""
    from rich.logging import RichHandler

    handler = RichHandler(console=err, show_time=False, show_level=False, show_path=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])


@contextmanager
def files_bar(total: int) -> "Iterator[Callable[[float], None]]":
    """What tells how many files are done, in a bar with the time left if somebody is watching."""
    columns = (
        TextColumn("restoring"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


def report(outcome: "Outcome") -> None:
    """One line for a file."""
    job = outcome.job
    if outcome.error:
        complain("failed:", outcome.error)
        return
    line = f"{job.source} → {job.target}"
    if outcome.skipped:
        line = f"skipped, for it is there (--overwrite replaces): {job.target}"
    # On a screen both streams are one, and only the bar's own console writes above the bar.
    screen = err if err.is_terminal and out.is_terminal else out
    screen.print(line, soft_wrap=True)


def summarise(outcomes: "list[Outcome]", seconds: float) -> None:
    """A last line for several files; exit code 2 when any failed."""
    failed = sum(1 for outcome in outcomes if outcome.error)
    skipped = sum(1 for outcome in outcomes if outcome.skipped)
    if len(outcomes) > 1:
        restored = len(outcomes) - failed - skipped
        say(f"{restored} restored, {skipped} skipped, {failed} failed in {seconds:.1f} s")
    if failed:
        raise typer.Exit(USER_MISTAKE)
