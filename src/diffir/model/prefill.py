"""Holes filled smoothly with what is around them: what inpainting may begin with.

Laplace's equation inside the holes, about: known pixels are averaged over ever larger squares, and
from the largest down each hole takes the next larger squares' values and is smoothed in itself.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

HALVINGS = 6
"""Squares of up to 64 pixels; a number that is fixed can be exported."""
SMOOTHINGS = 8
"""Of each size of squares; more gain next to nothing."""


def prefilled(lq: Tensor) -> Tensor:
    """LQ (B, 4, H, W), RGB and the mask (1 = hole), with its holes filled; the mask stays.

    What is under the holes does not matter, so filling again changes nothing.
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
        somewhere = (share > 0).to(lq)  # numbers: CPUs are slow to choose by truth values
        inside = sums_of_squares(torch.ones_like(level[:1, :1]))
        if level is not levels[-1]:
            filled = F.interpolate(filled, scale_factor=2.0, mode="bilinear", align_corners=False)
        for _ in range(SMOOTHINGS):
            filled = smoothed(torch.lerp(filled, average, somewhere), inside)
    filled = filled[..., :height, :width]
    return torch.cat([torch.lerp(lq[:, :3], filled, (mask > 0).to(lq)), mask], dim=1)


def smoothed(x: Tensor, inside: Tensor) -> Tensor:
    """The mean of each 3 × 3 pixels of (B, C, H, W), by how many of them are inside."""
    return sums_of_squares(x).div_(inside)


def sums_of_squares(x: Tensor) -> Tensor:
    """The sum of each 3 × 3 pixels, 0 outside: by slices, of which a CPU sums many at once.

    `avg_pool2d` takes far longer, a convolution is rounded under autocast.
    """
    sums = x.clone()
    sums[:, :, 1:] += x[:, :, :-1]
    sums[:, :, :-1] += x[:, :, 1:]
    squares = sums.clone()
    squares[..., 1:] += sums[..., :-1]
    squares[..., :-1] += sums[..., 1:]
    return squares


def beyond(length: int) -> int:
    """Pixels that make whole squares, two at least: a length that may be 1 is hard to export."""
    square = 2**HALVINGS
    return (length + square - 1) // square * square + square - length
