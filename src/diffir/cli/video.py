"""diffir video: restore a video."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .app import (
    Detail,
    Device,
    Memory,
    Precision,
    Seed,
    app,
    complain,
    counted,
    err,
    explained,
    fail,
    say,
    sigterm_as_ctrl_c,
)

if TYPE_CHECKING:
    from diffir.video.restore import Report

PYAV = 18  # older ones may do, but were not tried
EVERY = 60.0  # seconds between lines where no bar can be drawn
WORDS = {"looking": "looking through", "restoring": "restoring", "joining": "joining"}


@app.command()
@explained
def video(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A video in any format")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="A file name with .mp4, .m4v, .mov, .mkv or .webm"),
    ],
    model: Annotated[
        str, typer.Option(help="A name from `diffir models`, or a weights file")
    ] = "sr-x4-lite",
    seed: Seed = 0,
    detail: Detail = 0.0,
    smooth: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Average the IPR over about this time; restarts at a cut"
        ),
    ] = None,
    quality: Annotated[
        int,
        typer.Option(
            min=0, max=51, help="CRF of the encoder: lower is better and larger, 0 lossless"
        ),
    ] = 14,
    device: Device = "auto",
    precision: Precision = "float32",
    memory: Memory = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file, or start afresh")
    ] = False,
) -> None:
    """Restore a video; audio, subtitles, frame times, colours and rotation are kept.

    The same command continues an interrupted run; see OUT.unfinished.
    """
    require_pyav()
    from diffir.inference import Restorer
    from diffir.inference.engine import bytes_of
    from diffir.loading import weights_digest
    from diffir.video import restore_video

    if smooth is not None and not smooth > 0:
        raise fail(f"--smooth {smooth:g} found; give a number of seconds above 0, or leave it out")
    budget = None if memory is None else bytes_of(memory)
    with noted(), sigterm_as_ctrl_c(), told_of(output), progress_bar() as report:
        restorer = Restorer.from_pretrained(
            model, detail=detail, device=device, precision=precision, memory=budget
        )
        began = time.monotonic()
        done = restore_video(
            restorer,
            source,
            output,
            weights=weights_digest(model, detail),
            seed=seed,
            smooth=smooth,
            quality=quality,
            overwrite=overwrite,
            report=report,
        )
    earlier = f", {done.resumed} of them by an earlier run" if done.resumed else ""
    say(
        f"{source} → {output}: {counted(done.frames, 'frame')} of {done.width}×{done.height}"
        f"{earlier}, in {clock(time.monotonic() - began)}"
    )


def require_pyav() -> None:
    """Require PyAV in a recent version."""
    try:
        import av

        found = f"PyAV {av.__version__}"
        fits = int(av.__version__.partition(".")[0]) >= PYAV
    except ImportError:
        found, fits = "no PyAV", False
    if not fits:
        raise fail(
            f"{found} found; videos need PyAV {PYAV}, which needs Python 3.11: "
            f"install it with `pip install 'av>={PYAV}'`"
        )


@contextmanager
def told_of(output: Path) -> Iterator[None]:
    """Report at an interruption that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        if Path(f"{output}.unfinished").exists():
            say(f"what is restored so far is in {output}.unfinished; the same command continues")
        raise


@contextmanager
def noted() -> Iterator[None]:
    """Print the library's warnings above the bar."""
    handler, logger = Notes(logging.WARNING), logging.getLogger("diffir")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class Notes(logging.Handler):
    """Prints what the library logs as lines of standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line."""
        complain("note:", self.format(record))


@contextmanager
def progress_bar() -> "Iterator[Report]":
    """A progress callback: a bar on a terminal, or a line per minute in a log."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[frames]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        yield Teller(bar)


class Teller:
    """Remembers when a part began, to know how long it will take."""

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        self.tasks: dict[str, TaskID] = {}
        self.begun: dict[str, tuple[float, float]] = {}
        self.told = time.monotonic()

    def __call__(self, part: str, done: float, total: float) -> None:
        """Move the part's bar; in a log, say a line if the last is old enough."""
        now = time.monotonic()
        frames = f"{int(done)}/{int(total)}" if part == "restoring" else ""
        if part not in self.tasks:
            self.begun[part] = now, done
            first = int(done)
            self.tasks[part] = self.bar.add_task(
                WORDS[part], completed=first, total=total, frames=frames
            )
        self.bar.update(self.tasks[part], completed=done, frames=frames)
        if not err.is_terminal and part == "restoring" and now - self.told > EVERY:
            self.told = now
            began, at_first = self.begun[part]
            left = (now - began) / max(done - at_first, 1e-9) * (total - done)
            say(f"restored {int(done)} of {int(total)} frames, {clock(left)} left")


def clock(seconds: float) -> str:
    """`0:05`, `12:34`, `7:12:34`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
