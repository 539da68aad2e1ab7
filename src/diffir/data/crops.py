"""From pictures to crops: aligned windows, flips, rotations and mixup, on 8-bit pixels."""

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
    """Augmentation of crops."""

    flips: bool = True
    """Left and right swapped in half of the crops."""
    turns: bool = True
    """Rotation by 0, 90, 180 or 270 degrees, equally likely."""
    mixup: Probability = 0
    """How often a crop is blended with a second one, before LQ is made."""
    mixup_beta: Positive = 1.2
    """β of the blend's weight, drawn from Beta(β, β) as in Restormer."""


@dataclass(frozen=True, kw_only=True)
class CropSize:
    """The size of a crop."""

    lq: int
    """Side of LQ in pixels."""
    scale: int
    """Factor by which GT is larger."""
    margin: int = 0
    """GT pixels around the crop of a picture that has no LQ yet."""

    @property
    def gt(self) -> int:
        """Side of GT in pixels, without the margin."""
        return self.lq * self.scale


@dataclass(frozen=True)
class Sample:
    """One crop."""

    gt: Pixels
    """(gt, gt, 3), plus the margin on all sides if there is no LQ."""
    lq: Pixels | None
    """(lq, lq, 3); None if it is still to be made."""
    name: str
    """Of the picture it comes from."""


def window(pixels: Pixels, top: int, left: int, height: int, width: int) -> Pixels:
    """A window of a picture, mirrored beyond its borders."""
    rows, columns = np.arange(top, top + height), np.arange(left, left + width)
    inside = top >= 0 <= left and top + height <= len(pixels) and left + width <= pixels.shape[1]
    if inside:
        return pixels[top : top + height, left : left + width]
    return pixels[mirrored(rows, len(pixels))[:, None], mirrored(columns, pixels.shape[1])]


def mirrored(positions: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Positions reflected at the ends of a line, the border pixel repeated, as in `imresize`."""
    folded = positions % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)


def turned(sample: Sample, augment: Augment, draw: np.random.Generator) -> Sample:
    """A crop randomly flipped and rotated, LQ like GT."""
    turns = int(draw.integers(4)) if augment.turns else 0
    flip = bool(draw.integers(2)) if augment.flips else False
    gt, lq = (
        None if x is None else np.rot90(x[:, ::-1] if flip else x, turns)
        for x in (sample.gt, sample.lq)
    )
    assert gt is not None
    return replace(sample, gt=gt, lq=lq)


def blended(first: Sample, second: Sample, augment: Augment, draw: np.random.Generator) -> Sample:
    """A blend of two crops, rounded to 8 bits; the first alone if only one of them has an LQ."""
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
    """The crops of a step, uint8 (B, H, W, 3), those with an LQ separate from those without."""

    photos: Tensor | None
    """GT with its margin, for which LQ is still to be made."""
    gt: Tensor | None
    lq: Tensor | None
    """Aligned pairs."""
    order: tuple[int, ...]
    """Places in the batch, of the photos and then of the pairs."""
    facts: tuple[Facts, ...]
    """One per picture, in the order of the batch."""

    @property
    def photo_places(self) -> tuple[int, ...]:
        """Places of the photos in the batch."""
        return self.order[: 0 if self.photos is None else len(self.photos)]

    def pin_memory(self) -> "Crops":
        """For fast copies to a GPU; torch's loader calls it by this name."""
        photos, gt, lq = (
            x if x is None else x.pin_memory() for x in (self.photos, self.gt, self.lq)
        )
        return replace(self, photos=photos, gt=gt, lq=lq)


def collected(samples: Sequence[Sample], facts: Sequence[Facts]) -> Crops:
    """Collate the samples of a step."""
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
    """(B, H, W, 3) uint8 to (B, 3, H, W) floats in [0, 1] on the device."""
    return crops.to(device, non_blocking=True).permute(0, 3, 1, 2).float().contiguous() / 255
