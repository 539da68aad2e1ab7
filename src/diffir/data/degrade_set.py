"""Pairs made beforehand: whole photos degraded into files.

For what takes longer to make than to learn from. The folder gets `gt/`, an `lq0/`, `lq1/` … for
each copy with the same names, `pairs.yaml`, which is what training is given, and `prepare.json`,
which says how it was made.
"""

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

import torch
import yaml
from PIL import Image

from diffir.errors import DataError, PictureError
from diffir.files import settled, write_whole

from .crops import to_images
from .degradations import MakesPairs, unfit
from .draws import Draws
from .entries import Entry
from .masks import Holes
from .parallel import in_order
from .photo import to_lq
from .pixels import Pixels, to_pixels
from .prepare import NOTE, PNG_LEVEL, as_json, require_apart, require_same
from .sets import MADE, data_sets, entries_of_sets
from .sources import OnBad

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Degraded:
    """What became of a photo."""

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
    watch: Callable[[Iterable[Degraded], int], Iterable[Degraded]] = lambda items, _total: items,
) -> dict[str, str]:
    """Make pairs of photos; a file that is there is not made again, so a run can go on.

    Args:
        words: photos, as training takes them.
        target: the folder to make.
        degradation: how LQ is made; holes are none, since inpainting draws its own.
        scale: GT, cut to a multiple of it, is so much larger.
        copies: LQs of each photo, each drawn anew.
        seed: of all that is drawn.
        on_bad: whether a photo that can't be read, or is smaller than the scale, ends it.
        jobs: threads; None: one for each core.
        watch: what became of each photo goes through it, with the number of photos.

    Returns:
        A sentence for each photo that was left out, by its name.

    Raises:
        DataError: when there is no photo or a bad one, or the folder holds something else.
    """
    words = list(words)
    if isinstance(degradation, Holes):
        raise DataError("holes found; inpainting makes its own as it learns, so give it the photos")
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
    for made in watch(in_order(work, [*enumerate(entries)], jobs, stop), len(entries)):
        if made.error and on_bad == "stop":
            raise DataError(made.error)
        if made.error:
            skipped[made.name] = made.error
    sets = [{"gt": "gt", "lq": f"lq{copy}"} for copy in range(copies)]
    write_whole(yaml.safe_dump(sets).encode(), target / MADE)
    return skipped


def digest_of_names(entries: Iterable[Entry]) -> str:
    """What differs once a photo came or went: the files made are named by their places."""
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
    """GT and LQs of a photo; what is wrong with it is in words."""
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
        lq = to_lq(image, degradation, scale, Draws((seed, copy), (index,), alone=True))
        write_whole(png_of(to_pixels(lq)), target / f"lq{copy}" / file)
    if not (target / "gt" / file).exists() and not stop.is_set():
        write_whole(png_of(pixels), target / "gt" / file)
    return Degraded(entry.gt.name)


def png_of(pixels: Pixels) -> bytes:
    """The bytes of a PNG file, lightly compressed."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=PNG_LEVEL)
    return file.getvalue()
