"""diffir restore: pictures in, better pictures out."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .app import USER_MISTAKE, Device, app, err, escaped, explained, fail, out

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
            help="For inpainting: a picture of equal size, white (or transparent) = hole; "
            "or a folder of masks with the pictures' names"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bits")] = 0,
    device: Device = "auto",
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(help="bfloat16 is faster on some machines, and less exact"),
    ] = "float32",
    suffix: Annotated[
        str | None, typer.Option("--format", help="Of files in a folder, say png; else as read")
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="Largest picture to read; raise it if you trust yours")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there")] = False,
) -> None:
    """Restore pictures, or every picture in folders (their structure is kept)."""
    from diffir.inference.batch import names_a_folder, plan, restore_files

    dotted = None if suffix is None else "." + suffix.lstrip(".").lower()
    jobs = plan(sources, output, mask, dotted)
    if len(jobs) == 1 and not names_a_folder(output) and output.exists() and not overwrite:
        raise fail(f"{output} exists; choose another name or add --overwrite")

    from diffir.inference import Restorer

    restorer = Restorer.from_pretrained(model, device=device, precision=precision)
    outcomes = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as progress:
        bar = progress.add_task("restoring", total=len(jobs))
        began = time.monotonic()
        for outcome in restore_files(
            restorer, jobs, seed=seed, overwrite=overwrite, max_pixels=max_pixels
        ):
            outcomes.append(outcome)
            progress.advance(bar)
            report(outcome)
    summarise(outcomes, time.monotonic() - began)


def report(outcome: "Outcome") -> None:
    """One line for a file."""
    job = outcome.job
    if outcome.error:
        err.print(f"[red]failed:[/red] {escaped(outcome.error)}", soft_wrap=True)
    elif outcome.skipped:
        out.print(f"skipped, already there: {escaped(str(job.target))}", soft_wrap=True)
    else:
        out.print(f"{escaped(str(job.source))} → {escaped(str(job.target))}", soft_wrap=True)


def summarise(outcomes: "list[Outcome]", seconds: float) -> None:
    """A last line for several files; exit code 2 when any failed."""
    failed = sum(1 for outcome in outcomes if outcome.error)
    skipped = sum(1 for outcome in outcomes if outcome.skipped)
    if len(outcomes) > 1:
        restored = len(outcomes) - failed - skipped
        out.print(f"{restored} restored, {skipped} skipped, {failed} failed in {seconds:.1f} s")
    if failed:
        raise typer.Exit(USER_MISTAKE)
