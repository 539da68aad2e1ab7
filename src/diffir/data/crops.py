"""From pictures to crops: aligned windows, flips, turns, mixup, all in bytes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .draws import Facts, note
from .pixels import Pixels
from .settings import Positive, Probability, Values


class Augment(Values):
    """What may happen to a crop: none of it changes what is to be learnt."""

    flips: bool = True
    """Left and right swapped, every other time."""
    turns: bool = True
    """By 0, 90, 180 or 270 degrees, equally likely."""
    mixup: Probability = 0
    """How often a crop is blended with a second one, before LQ is made of it."""
    mixup_beta: Positive = 1.2
    """Blended by Beta(β, β), Restormer's way."""


@dataclass(frozen=True, kw_only=True)
class CropSize:
    """How large a crop is."""

    lq: int
    """Side of LQ in pixels."""
    scale: int
    """GT is so much larger."""
    margin: int = 0
    """GT pixels wanted around the crop of a picture that has no LQ yet."""

    @property
    def gt(self) -> int:
        """Side of GT in pixels, without the margin."""
        return self.lq * self.scale


@dataclass(frozen=True)
class Sample:
    """One crop."""

    gt: Pixels
    """(gt, gt, 3), or with the margin around it where there is no LQ."""
    lq: Pixels | None
    """(lq, lq, 3); None where it is yet to be made."""
    name: str
    """Of the picture it comes from."""


def window(pixels: Pixels, top: int, left: int, height: int, width: int) -> Pixels:
    """A part of a picture, which goes on beyond its borders as its mirror image."""
    rows, columns = np.arange(top, top + height), np.arange(left, left + width)
    inside = top >= 0 <= left and top + height <= len(pixels) and left + width <= pixels.shape[1]
    if inside:
        return pixels[top : top + height, left : left + width]
    return pixels[mirrored(rows, len(pixels))[:, None], mirrored(columns, pixels.shape[1])]


def mirrored(positions: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Positions beyond a line's ends folded back, the border pixel repeated as `imresize` does."""
    folded = positions % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)


def turned(sample: Sample, augment: Augment, draw: np.random.Generator) -> Sample:
    """A flipped and turned crop, LQ as GT."""
    turns = int(draw.integers(4)) if augment.turns else 0
    flip = bool(draw.integers(2)) if augment.flips else False
    gt, lq = (
        None if x is None else np.rot90(x[:, ::-1] if flip else x, turns)
        for x in (sample.gt, sample.lq)
    )
    assert gt is not None
    return replace(sample, gt=gt, lq=lq)


def blended(first: Sample, second: Sample, augment: Augment, draw: np.random.Generator) -> Sample:
    """Two crops as one, rounded to bytes; the first alone where only one of them has an LQ."""
    share = float(draw.beta(augment.mixup_beta, augment.mixup_beta))
    if (first.lq is None) != (second.lq is None):
        return first
    note(draw, mixup=share)

    def blend(a: Pixels, b: Pixels) -> Pixels:
        return np.round(a * share + b * (1 - share)).astype(np.uint8)

    lq = None if first.lq is None or second.lq is None else blend(first.lq, second.lq)
    return replace(first, gt=blend(first.gt, second.gt), lq=lq)


@dataclass(frozen=True, kw_only=True)
class Crops:
    """The crops of a step, bytes (B, H, W, 3): those with an LQ apart from those without."""

    photos: Tensor | None
    """GT with its margin, LQ yet to be made."""
    gt: Tensor | None
    lq: Tensor | None
    """Aligned pairs."""
    order: tuple[int, ...]
    """Places in the batch: of the photos, then of the pairs."""
    facts: tuple[Facts, ...]
    """Of every picture, by its place in the batch."""

    @property
    def photo_places(self) -> tuple[int, ...]:
        """Places of the photos in the batch."""
        return self.order[: 0 if self.photos is None else len(self.photos)]

    def pin_memory(self) -> "Crops":
        """For fast copies to a GPU; the name is what the loader looks for."""
        photos, gt, lq = (
            x if x is None else x.pin_memory() for x in (self.photos, self.gt, self.lq)
        )
        return replace(self, photos=photos, gt=gt, lq=lq)


def collected(samples: Sequence[Sample], facts: Sequence[Facts]) -> Crops:
    """The crops of a step from those of its pictures."""
    photos = [place for place, sample in enumerate(samples) if sample.lq is None]
    pairs = [place for place, sample in enumerate(samples) if sample.lq is not None]
    lqs = [samples[place].lq for place in pairs]
    return Crops(
        photos=stacked([samples[place].gt for place in photos]),
        gt=stacked([samples[place].gt for place in pairs]),
        lq=stacked([lq for lq in lqs if lq is not None]),
        order=(*photos, *pairs),
        facts=tuple({"picture": s.name, **f} for s, f in zip(samples, facts, strict=True)),
    )


def stacked(crops: list[Pixels]) -> Tensor | None:
    """(B, H, W, 3) of crops of one size."""
    return torch.from_numpy(np.stack(crops)) if crops else None


def to_images(crops: Tensor, device: torch.device) -> Tensor:
    """(B, H, W, 3) bytes to (B, 3, H, W) floats in [0, 1] on the device."""
    return crops.to(device, non_blocking=True).permute(0, 3, 1, 2).float().contiguous() / 255
