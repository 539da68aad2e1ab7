"""Holes filled smoothly with what is around them: what inpainting may begin with.

Laplace's equation inside the holes, about: known pixels are averaged over ever larger squares, and
from the largest down each hole takes the next larger squares' values and is smoothed in itself.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

HALVINGS = 9
"""Squares of up to 512 pixels; a number that is fixed can be exported."""
SMOOTHINGS = 8
"""Of each size of squares; more gain next to nothing."""


def prefilled(lq: Tensor) -> Tensor:
    """LQ (B, 4, H, W), RGB and the mask (1 = hole), with its holes filled; the mask stays.

    What is under the holes does not matter, so filling again changes nothing.
    """
    mask = lq[:, 3:]
    known = 1 - mask
    levels = [torch.cat([lq[:, :3] * known, known], dim=1)]
    for _ in range(HALVINGS):
        levels.append(F.avg_pool2d(levels[-1], 2, ceil_mode=True, count_include_pad=False))
    mean = levels[-1].mean(dim=(2, 3), keepdim=True)
    filled = mean[:, :3] / mean[:, 3:].clamp(min=1e-6)
    for level in reversed(levels):
        share = level[:, 3:]
        average = level[:, :3] / share.clamp(min=1e-6)
        filled = F.interpolate(filled, level.shape[2:], mode="bilinear", align_corners=False)
        for _ in range(SMOOTHINGS):
            filled = torch.where(share > 0, average, filled)
            filled = F.avg_pool2d(filled, 3, stride=1, padding=1, count_include_pad=False)
    return torch.cat([torch.where(mask > 0, filled, lq[:, :3]), mask], dim=1)
