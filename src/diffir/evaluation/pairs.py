"""Validation pictures: one pair each, made once and the same in every run."""

import itertools
from collections.abc import Container, Iterable
from pathlib import Path

from diffir.data import Batch, Degradation, Draws, Holes, data_sets
from diffir.data.degradations import MakesPairs
from diffir.data.entries import Entry
from diffir.data.pixels import to_tensor
from diffir.data.sets import entries_of_sets
from diffir.data.sources import one_of
from diffir.errors import DataError

SEED = 0
"""Of validation's degradation and noise, so that scores differ only by the network."""


def validation_sets(
    words: Iterable[str], degradation: Degradation, scale: int
) -> dict[str, list[Batch]]:
    """The pairs of each word, by the name of its folder or file; (1, C, H, W) each, on the CPU.

    A pair is a picture with its own LQ, or with one made from it, seeded by its position in the
    set, so that other words do not matter.

    Raises:
        DataError: when a word has no picture, or one that is bad or too small: scores over fewer
            pictures would not be comparable.
        PictureError: when one can't be decoded.
    """
    sets: dict[str, list[Batch]] = {}
    for word in words:
        sets[set_name(word, taken=sets)] = pairs_of(word, degradation, scale)
    return sets


def set_name(word: str, taken: Container[str]) -> str:
    """The name of a folder, or of a file without its suffix; numbered from 2 if it is taken."""
    path = Path(word).resolve()  # since "." and ".." are not names
    name = path.name if path.is_dir() else path.stem
    name = name.encode(errors="backslashreplace").decode()  # TensorBoard needs UTF-8
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(free for free in names if free not in taken)


def pairs_of(word: str, degradation: Degradation, scale: int) -> list[Batch]:
    """The pairs of one word; raises as `validation_sets`."""
    entries, unfit = entries_of_sets(data_sets([word]), scale)
    if unfit:
        raise DataError(one_of(unfit))
    if isinstance(degradation, Holes) and any(entry.lq for entry in entries):
        raise DataError(f"{word} has its own LQ; inpainting takes only photos")
    if not entries:
        raise DataError(f"{word} has no picture to validate on; give a folder of pictures")
    for entry in entries:
        side = min(side - side % scale for side in (entry.height, entry.width))
        if entry.lq is None and side <= 2 * (degradation.margin(scale) + scale):
            raise DataError(f"{entry.gt.name} is too small to make an LQ from; leave it out")
    return [pair_of(entry, index, degradation, scale) for index, entry in enumerate(entries)]


def pair_of(
    entry: Entry, index: int, degradation: MakesPairs, scale: int, seed: int = SEED
) -> Batch:
    """Picture `index` of a set with its own LQ, or with one made from it. Raises PictureError."""
    gt = to_tensor(entry.gt.pixels())
    height, width = (side - side % scale for side in gt.shape[-2:])
    gt = gt[..., :height, :width]
    if entry.lq is not None:
        return Batch(lq=to_tensor(entry.lq.pixels()), gt=gt)
    return degradation.batch(gt, scale, Draws((seed,), (index,), alone=True))
