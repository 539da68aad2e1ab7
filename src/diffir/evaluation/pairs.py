"""The pictures that are validated on: a pair of each, made once and the same in every run."""

import itertools
from collections.abc import Container, Iterable
from pathlib import Path

from diffir.data import Batch, Degradation, Draws, Holes, data_sets
from diffir.data.entries import Entry
from diffir.data.pixels import to_tensor
from diffir.data.sets import entries_of_sets
from diffir.data.sources import one_of
from diffir.errors import DataError

SEED = 0
"""Of the degradation and of the noise that validation draws: scores differ by the network alone."""


def validation_sets(
    words: Iterable[str], degradation: Degradation, scale: int
) -> dict[str, list[Batch]]:
    """The pairs of every word, by the name of its folder or file; (1, C, H, W) each, on the CPU.

    A pair is the picture with its own LQ, or with one made of it. Which one depends on the place
    in the set, so other words beside it change nothing.

    Raises:
        DataError: when a word has no picture, none large enough, or a bad one: scores of fewer
            pictures could not be compared.
        PictureError: when one can't be decoded.
    """
    sets: dict[str, list[Batch]] = {}
    for word in words:
        sets[set_name(word, taken=sets)] = pairs_of(word, degradation, scale)
    return sets


def set_name(word: str, taken: Container[str]) -> str:
    """The name of a folder, or of a file without its suffix; numbered from 2 where it is taken."""
    path = Path(word).resolve()  # "." and ".." have no name of their own
    name = path.name if path.is_dir() else path.stem
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(free for free in names if free not in taken)


def pairs_of(word: str, degradation: Degradation, scale: int) -> list[Batch]:
    """The pairs of one word; raises as `validation_sets`."""
    entries, unfit = entries_of_sets(data_sets([word]), scale)
    if unfit:
        raise DataError(one_of(unfit))
    if isinstance(degradation, Holes) and any(entry.lq for entry in entries):
        raise DataError(f"{word} has an LQ of its own; of inpainting give whole photos alone")
    if not entries:
        raise DataError(f"{word} has no picture to validate on; name a folder that has")
    pairs = []
    for index, entry in enumerate(entries):
        pair = pair_of(entry, index, degradation, scale)
        if pair is None:
            raise DataError(f"{entry.gt.name} is too small to make an LQ of; leave it out")
        pairs.append(pair)
    return pairs


def pair_of(entry: Entry, index: int, degradation: Degradation, scale: int) -> Batch | None:
    """The pair of picture `index` of a set; None where it is too small to make an LQ of."""
    gt = to_tensor(entry.gt.pixels())
    height, width = (side - side % scale for side in gt.shape[-2:])
    gt = gt[..., :height, :width]
    if entry.lq is not None:
        return Batch(lq=to_tensor(entry.lq.pixels()), gt=gt)
    if min(height, width) <= 2 * (degradation.margin(scale) + scale):
        return None
    return degradation.batch(gt, scale, Draws((SEED,), (index,), alone=True))
