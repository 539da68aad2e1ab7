"""diffir data masks, mask-stats: fixed masks for evaluating inpainting, and their coverage."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffir.cli.app import Seed, complain, counted, explained, fail, say, watched

from .app import data

if TYPE_CHECKING:
    from diffir.data.masks import Coverage, Mask

BAR = 40  # characters of the histogram's longest bar
SMALLEST, LARGEST = 16, 16384  # sides; smaller masks are nearly all hole or none


@data.command()
@explained
def masks(
    settings: Annotated[
        str,
        typer.Argument(metavar="SETTINGS", help="A name such as wide-256, narrow-512 or everyday"),
    ],
    folder: Annotated[Path, typer.Argument(metavar="DST", help="Folder for the masks")],
    count: Annotated[int, typer.Option(min=1, help="Number of masks")] = 100,
    size: Annotated[
        str | None,
        typer.Option(help="Pixels, 256 or 640x480 (width first); default: as the name says"),
    ] = None,
    seed: Seed = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Allow a folder that holds pictures")
    ] = False,
) -> None:
    """Write a reproducible set of masks for evaluating inpainting, white = hole."""
    from diffir.data.masks import MASKS, mask_set, write_masks
    from diffir.data.settings import named

    try:
        chosen = named(MASKS)(settings)
    except ValueError as error:
        raise fail(str(error)) from error
    width, height = sides(size or ("512" if settings.endswith("-512") else "256"))
    there = pictures_in(folder)
    if there and not overwrite:
        raise fail(f"{folder} has pictures; choose another folder or add --overwrite")
    drawn = mask_set(count, height, width, chosen, (seed,))
    files = write_masks(watched(drawn, "drawing", count), folder)
    others = there - set(files)
    say(f"{count} masks of {width}×{height} in {folder}")
    if others:
        also = counted(len(others), "picture")
        complain("warning:", f"{folder} also has {also} from elsewhere")
    tell(files)


@data.command("mask-stats")
@explained
def mask_stats(
    sources: Annotated[list[Path], typer.Argument(metavar="MASK...", help="Masks and folders")],
) -> None:
    """Print which share of the pictures is hole; white or transparent = hole."""
    from diffir.data import picture_files

    tell(picture_files(sources))


def sides(text: str) -> tuple[int, int]:
    """Width and height of `256` or `640x480`."""
    if not re.fullmatch(r"[1-9][0-9]{0,4}([x×][1-9][0-9]{0,4})?", text):
        raise fail(f"--size {text} found; give 256 or, width first, 640x480")
    width, *height = map(int, re.split("[x×]", text))
    if not all(SMALLEST <= side <= LARGEST for side in (width, *height)):
        raise fail(f"--size {text} found; each side must be {SMALLEST} to {LARGEST} pixels")
    return width, (height or [width])[0]


def pictures_in(folder: Path) -> set[Path]:
    """The pictures directly in a folder that may not exist yet."""
    from diffir.data.folders import PICTURE_SUFFIXES

    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise fail(f"{folder} is a file; choose a folder for the masks")
    return {path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES}


def tell(files: list[Path]) -> None:
    """Print the coverage of masks in files: its mean and range, then its histogram."""
    from diffir.data.masks import coverage

    found = coverage(holes(watched(files, "measuring", len(files))))
    say(f"hole: {found.mean:.1%} on average, from {found.min:.1%} to {found.max:.1%}")
    for line in histogram(found):
        say(line)


def holes(files: Iterable[Path]) -> "Iterator[Mask]":
    """Masks from files, as `diffir restore` reads them."""
    import numpy as np

    from diffir.images import read
    from diffir.images.holes import holes_of

    for path in files:
        yield holes_of(read(path)).astype(np.uint8)


def histogram(found: "Coverage") -> Iterator[str]:
    """A line for each range of the share of hole: its masks as a bar, and their number."""
    bins, most = len(found.histogram), max(found.histogram)
    for index, masks_in in enumerate(found.histogram):
        ends = f"{index / bins:4.0%} to {(index + 1) / bins:4.0%}"
        yield f"{ends} {'#' * round(BAR * masks_in / most):{BAR}} {masks_in}"
