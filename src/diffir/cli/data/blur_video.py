"""diffir data blur-video: pairs of blurred and sharp pictures from sharp videos."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from diffir.cli.app import USER_MISTAKE, Seed, complain, counted, err, explained, fail, say
from diffir.errors import DiffIRError

from .app import data

if TYPE_CHECKING:
    from diffir.data.video import Clip, Frame, PairWriter, Tally


@data.command("blur-video")
@explained
def blur_video(
    videos: Annotated[
        list[Path],
        typer.Argument(metavar="VIDEO...", help="Videos, or folders of consecutive frames"),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for `gt` and `lq`, a training set")
    ],
    frames: Annotated[
        str, typer.Option(help="Frames averaged into one, an odd number drawn from a range")
    ] = "7-13",
    step: Annotated[
        int | None,
        typer.Option(min=1, help="Frames from one window to the next; default: windows end to end"),
    ] = None,
    gamma: Annotated[
        float, typer.Option(help="Gamma of the frames, undone before averaging")
    ] = 2.2,
    sharp: Annotated[
        Literal["first", "middle", "last"], typer.Option(help="Which frame becomes GT")
    ] = "middle",
    cut: Annotated[
        float,
        typer.Option(help="Frames that differ by more from the next end a scene; 1 turns this off"),
    ] = 0.12,
    seed: Seed = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what an earlier run made")
    ] = False,
) -> None:
    """Blur sharp videos the way GoPro's training set was made: by averaging frames as light.

    For footage of 120 frames a second or more. The same command continues an interrupted run.
    """
    from pydantic import ValidationError

    from diffir.data.prepare import require_apart
    from diffir.data.settings import sentence
    from diffir.data.video import FrameBlur, PairWriter, clips

    for source in videos:
        require_apart(source, output)
    try:
        settings = FrameBlur(frames=span(frames), step=step, gamma=gamma, sharp=sharp, cut=cut)
    except ValidationError as error:
        raise fail(f"--{sentence(error)}") from error
    writer = PairWriter(folder=output, settings=settings, seed=seed, overwrite=overwrite)
    results = [written(writer, clip) for clip in clips(videos)]
    tallies = [tally for tally in results if tally]
    if len(results) > 1:
        say(
            f"{counted(sum(tally.made for tally in tallies), 'pair')} made from "
            f"{counted(len(tallies), 'clip')}, {len(results) - len(tallies)} failed"
        )
    if len(tallies) < len(results):
        raise typer.Exit(USER_MISTAKE)


def span(text: str) -> tuple[int, int]:
    """`7-13` as (7, 13), `9` as (9, 9)."""
    if not re.fullmatch(r"[0-9]{1,9}(-[0-9]{1,9})?", text):
        raise fail(f"--frames {text} found; give an odd number or a range, such as 7-13")
    first, *last = map(int, text.split("-"))
    return first, (last or [first])[0]


def written(writer: "PairWriter", clip: "Clip") -> "Tally | None":
    """The result of a clip, also printed; None if it failed."""
    try:
        with watching(clip) as watch:
            tally = writer.write(clip, watch)
    except DiffIRError as error:
        complain("failed:", str(error))
        return None
    kept = f", {tally.kept} existed" if tally.kept else ""
    say(
        f"{clip.source}: {counted(tally.made, 'pair')} made{kept}, from {tally.frames} frames "
        f"with {counted(tally.cuts, 'cut')}"
    )
    return tally


@contextmanager
def watching(clip: "Clip") -> "Iterator[Callable[[Iterable[Frame]], Iterator[Frame]]]":
    """A progress bar on a terminal, with the time left if the number of frames is known."""
    columns = TextColumn("blurring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:

        def watch(frames: "Iterable[Frame]") -> "Iterator[Frame]":
            bar = progress.add_task("", total=clip.length)
            for frame in frames:
                yield frame
                progress.advance(bar)

        yield watch
