"""Fill holes smoothly from their surroundings, as a starting point for inpainting.

Approximates Laplace's equation inside the holes: known pixels are averaged over squares of growing
size; then, from coarse to fine, holes take the coarser level's values and are smoothed.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

HALVINGS = 6
"""Levels, with squares of up to 64 pixels; a fixed number, so that the network can be exported."""
SMOOTHINGS = 8
"""Smoothing passes at each level; more gain next to nothing."""


def prefilled(lq: Tensor) -> Tensor:
    """LQ (B, 4, H, W), RGB and the mask (1 = hole), with its holes filled; the mask is unchanged.

    The result does not depend on the pixels inside the holes, so filling twice changes nothing.
    """
    height, width = lq.shape[2:]
    mask = lq[:, 3:]
    known = torch.cat([lq[:, :3] * (1 - mask), 1 - mask], dim=1).contiguous()
    levels = [F.pad(known, [0, beyond(width), 0, beyond(height)])]
    del known  # as large as LQ
    for _ in range(HALVINGS):
        levels.append(F.avg_pool2d(levels[-1], 2))
    mean = levels[-1].mean(dim=(2, 3), keepdim=True)
    filled = (mean[:, :3] / mean[:, 3:].clamp(min=1e-6)).expand_as(levels[-1][:, :3])
    for level in reversed(levels):
        share = level[:, 3:]
        average = level[:, :3] / share.clamp(min=1e-6)
        somewhere = (share > 0).to(lq)  # as floats: selecting by booleans is slow on CPUs
        inside = sums_of_squares(torch.ones_like(level[:1, :1]))
        if level is not levels[-1]:
            filled = F.interpolate(filled, scale_factor=2.0, mode="bilinear", align_corners=False)
        for _ in range(SMOOTHINGS):
            filled = smoothed(torch.lerp(filled, average, somewhere), inside)
    filled = filled[..., :height, :width]
    return torch.cat([torch.lerp(lq[:, :3], filled, (mask > 0).to(lq)), mask], dim=1)


def smoothed(x: Tensor, inside: Tensor) -> Tensor:
    """The 3 × 3 mean of (B, C, H, W), given the number of pixels inside the picture."""
    return sums_of_squares(x).div_(inside)


def sums_of_squares(x: Tensor) -> Tensor:
    """The 3 × 3 sums with zero padding, by slices, which CPUs add quickly.

    `avg_pool2d` is far slower, and autocast would round a convolution.
    """
    sums = x.clone()
    sums[:, :, 1:] += x[:, :, :-1]
    sums[:, :, :-1] += x[:, :, 1:]
    squares = sums.clone()
    squares[..., 1:] += sums[..., :-1]
    squares[..., :-1] += sums[..., 1:]
    return squares


def beyond(length: int) -> int:
    """Padding to whole squares, two at least: a dimension that may be 1 is hard to export."""
    square = 2**HALVINGS
    return (length + square - 1) // square * square + square - length
