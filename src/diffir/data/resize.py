"""Bicubic resizing like MATLAB's imresize, which published SR results use.

Differs from most libraries: antialiased by widening the kernel when shrinking, a = -0.5 (Keys),
pixel centres at half integers, and mirrored borders.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

CUBIC_SUPPORT = 4.0  # width of the cubic kernel in source pixels, before widening
CUBIC_MARGIN = 3
"""Reduced pixels around a crop, so that its reduction equals that of the whole picture."""


def cubic(x: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x.square() + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, 0.0))


@lru_cache(maxsize=64)
def contributions(length: int, out_length: int, scale: float) -> tuple[Tensor, Tensor]:
    """The source pixels of each output pixel, and their weights.

    Returns:
        Indices (out_length, P) int64 into a line of `length` pixels, mirrored at its ends, and
        weights (out_length, P) float64 that sum to 1.
    """
    shrink = min(scale, 1.0)
    width = CUBIC_SUPPORT / shrink
    centre = (torch.arange(out_length, dtype=torch.float64) + 0.5) / scale - 0.5
    first = torch.floor(centre - width / 2)
    positions = first[:, None] + torch.arange(math.ceil(width) + 2, dtype=torch.float64)
    weights = cubic((centre[:, None] - positions) * shrink)
    weights = weights / weights.sum(dim=1, keepdim=True)
    wrapped = positions.long() % (2 * length)  # mirrored with the border pixel repeated
    return torch.minimum(wrapped, 2 * length - 1 - wrapped), weights


def resize_lines(x: Tensor, dim: int, out_length: int, scale: float) -> Tensor:
    """Resize along one dimension, one source offset at a time to save memory."""
    indices, weights = contributions(x.shape[dim], out_length, scale)
    shape = [1] * x.ndim
    shape[dim] = out_length
    terms = (
        x.index_select(dim, index.to(x.device)) * weight.to(x).reshape(shape)
        for index, weight in zip(indices.T, weights.T, strict=True)
        if weight.any()
    )
    return sum(terms, torch.zeros((), dtype=x.dtype, device=x.device))


def imresize(image: Tensor, scale: float) -> Tensor:
    """Resize (B, C, H, W) floats by `scale` to (B, C, ceil(H·scale), ceil(W·scale)).

    Bicubic overshoots; the result is neither clipped nor rounded.

    Raises:
        ValueError: when scale is not positive.
    """
    if not scale > 0:
        raise ValueError(f"scale {scale} found; a positive number is wanted")
    height, width = (math.ceil(side * scale) for side in image.shape[-2:])
    # MATLAB starts with the dimension that shrinks most; at one scale for both that is the first.
    return resize_lines(resize_lines(image, -2, height, scale), -1, width, scale)
