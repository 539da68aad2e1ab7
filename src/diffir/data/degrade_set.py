"""Pairs made in advance: whole photos degraded into files.

For degradations that take longer than training on them. The folder gets `gt/`, one `lq0/`, `lq1/` …
per copy with the same names, `pairs.yaml`, which training reads, and `prepare.json`, which records
how it was made.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

import torch
import yaml

from diffir.errors import DataError, PictureError
from diffir.files import settled, write_whole

from .crops import to_images
from .degradations import MakesPairs, unfit
from .draws import Draws
from .entries import Entry
from .masks import Holes
from .parallel import Watch, in_order, unwatched
from .photo import to_lq
from .pixels import png_of, to_pixels
from .prepare import NOTE, PNG_LEVEL, as_json, require_apart, require_same
from .sets import MADE, data_sets, entries_of_sets
from .sources import OnBad

CPU = torch.device("cpu")
TAG = (0, 1)
"""At the end of the seed, so that no pair is one of validation, whose seed is (seed,), the same to
NumPy as (seed, 0), or of training, whose seeds are (seed, phase, step)."""


@dataclass(frozen=True)
class Degraded:
    """The result for one photo."""

    name: str
    error: str = ""


def degrade_set(
    words: Iterable[str],
    target: Path,
    degradation: MakesPairs,
    *,
    scale: int,
    copies: int = 1,
    seed: int = 0,
    on_bad: OnBad = "skip",
    jobs: int | None = None,
    watch: Watch = unwatched,
) -> dict[str, str]:
    """Make pairs from photos; existing files are kept, so an interrupted run can continue.

    Args:
        words: photos, as training takes them.
        target: the folder to make.
        degradation: how LQ is made; not holes, since inpainting draws them in training.
        scale: factor by which GT, cropped to a multiple of it, is larger than LQ.
        copies: number of LQs per photo, drawn independently.
        seed: of all random draws.
        on_bad: whether a photo that is unreadable or smaller than the scale ends the run.
        jobs: threads; None: one per core.
        watch: shows progress.

    Returns:
        By name of each photo that was left out, a sentence that says why.

    Raises:
        DataError: when there is no photo or, with `stop`, a bad one; or the folder has other files.
    """
    words = list(words)
    if isinstance(degradation, Holes):
        raise DataError("holes found; inpainting draws them in training, so train on the photos")
    mismatch = unfit(degradation, "", scale)
    if mismatch:
        raise DataError(mismatch)
    for word in words:
        require_apart(Path(word), target)
    entries, skipped = entries_of_sets(data_sets(words), scale=1)
    if not entries or (skipped and on_bad == "stop"):
        raise DataError(next(iter(skipped.values()), "no pictures found; give some"))
    note = {
        "photos": [settled(word) for word in words],
        "pictures": digest_of_names(entries),
        "scale": scale,
        "copies": copies,
        "seed": seed,
        "degradation": degradation.model_dump(mode="json"),
    }
    require_same(target, note)
    write_whole(as_json(note), target / NOTE)
    stop = Event()
    work = partial(
        degrade_photo,
        target=target,
        degradation=degradation,
        scale=scale,
        copies=copies,
        seed=seed,
        stop=stop,
    )
    results = in_order(work, [*enumerate(entries)], jobs, stop)
    for made in watch(results, "degrading", len(entries)):
        if made.error and on_bad == "stop":
            raise DataError(made.error)
        if made.error:
            skipped[made.name] = made.error
    sets = [{"gt": "gt", "lq": f"lq{copy}"} for copy in range(copies)]
    write_whole(yaml.safe_dump(sets).encode(), target / MADE)
    return skipped


def digest_of_names(entries: Iterable[Entry]) -> str:
    """A hash that changes if photos are added or removed, since files are named by position."""
    names = "\n".join(Path(entry.gt.name).name for entry in entries)
    return hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()


def degrade_photo(
    numbered: tuple[int, Entry],
    *,
    target: Path,
    degradation: MakesPairs,
    scale: int,
    copies: int,
    seed: int,
    stop: Event,
) -> Degraded:
    """Write GT and the LQs of a photo; problems with it are returned as text."""
    index, entry = numbered
    file = f"{index:06d}.png"
    missing = [copy for copy in range(copies) if not (target / f"lq{copy}" / file).exists()]
    try:
        pixels = entry.gt.pixels()
    except PictureError as error:
        return Degraded(entry.gt.name, str(error))
    height, width = (side // scale * scale for side in pixels.shape[:2])
    if not height or not width:
        size = f"{pixels.shape[1]}×{pixels.shape[0]}"
        return Degraded(entry.gt.name, f"{entry.gt.name} is {size}, smaller than scale {scale}")
    pixels = pixels[:height, :width]
    image = to_images(torch.from_numpy(pixels)[None], CPU)
    for copy in missing:
        if stop.is_set():
            break
        lq = to_lq(image, degradation, scale, Draws((seed, copy, *TAG), (index,), alone=True))
        write_whole(png_of(to_pixels(lq), PNG_LEVEL), target / f"lq{copy}" / file)
    if not (target / "gt" / file).exists() and not stop.is_set():
        write_whole(png_of(pixels, PNG_LEVEL), target / "gt" / file)
    return Degraded(entry.gt.name)
