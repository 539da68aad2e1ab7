"""Aligned pairs of a low- and a high-quality picture in memory, and random crops of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffir.errors import DataError

from .batch import Batch
from .resize import imresize

Pixels = NDArray[np.uint8]
"""(H, W, 3), 0 to 255."""


@dataclass(frozen=True)
class Pair:
    """LQ (H, W, 3) and GT (H·scale, W·scale, 3)."""

    lq: Pixels
    gt: Pixels


def to_tensor(pixels: Pixels) -> Tensor:
    """(H, W, 3) 0..255 to (1, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


def to_pixels(image: Tensor) -> Pixels:
    """(1, 3, H, W) in [0, 1] to (H, W, 3) 0..255, clipped and rounded as files are."""
    scaled = (image[0].clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(scaled.permute(1, 2, 0).numpy())


def bicubic_pair(gt: Pixels, scale: int) -> Pair:
    """GT, cut to a multiple of the scale, and its MATLAB-bicubic reduction, rounded to 8 bits."""
    height, width = (side - side % scale for side in gt.shape[:2])
    gt = gt[:height, :width]
    return Pair(to_pixels(imresize(to_tensor(gt), 1 / scale)), gt)


class PairCrops:
    """Random aligned crops, flipped and rotated. Every pixel of the set is equally likely.

    Pictures smaller than the crop are left out.

    Raises:
        DataError: when no picture is as large as the crop.
    """

    def __init__(self, pairs: Iterable[Pair], scale: int, lq_size: int) -> None:
        self.scale, self.lq_size = scale, lq_size
        self.pairs: Sequence[Pair] = [p for p in pairs if min(p.lq.shape[:2]) >= lq_size]
        if not self.pairs:
            raise DataError(
                f"no training picture is as large as the crop of {lq_size * scale} pixels; "
                f"give larger pictures or a smaller lq_size"
            )
        areas = np.array([p.lq.shape[0] * p.lq.shape[1] for p in self.pairs], dtype=np.float64)
        self.shares = np.cumsum(areas / areas.sum())

    def crop(self, draw: np.random.Generator) -> Pair:
        """One crop of lq_size × lq_size LQ pixels."""
        index = min(int(np.searchsorted(self.shares, draw.random())), len(self.pairs) - 1)
        pair, size, scale = self.pairs[index], self.lq_size, self.scale
        top, left = (int(draw.integers(side - size + 1)) for side in pair.lq.shape[:2])
        lq = pair.lq[top : top + size, left : left + size]
        gt = pair.gt[top * scale : (top + size) * scale, left * scale : (left + size) * scale]
        turns, flip = int(draw.integers(4)), bool(draw.integers(2))
        return Pair(*(np.rot90(x[:, ::-1] if flip else x, turns) for x in (lq, gt)))

    def batch(self, size: int, seed: Sequence[int]) -> Batch:
        """The batch of `seed` (run, phase and step, say): item i draws from (*seed, i)."""
        crops = [self.crop(np.random.default_rng([*seed, index])) for index in range(size)]
        return Batch(
            lq=torch.cat([to_tensor(crop.lq) for crop in crops]),
            gt=torch.cat([to_tensor(crop.gt) for crop in crops]),
        )
