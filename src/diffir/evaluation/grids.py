"""Grids: LQ, restored and GT side by side, to follow a training."""

import torch
import torch.nn.functional as F
from torch import Tensor

from diffir.data import Batch

SIDE, GAP = 256, 4  # pixels


def grid(restored: Tensor, pair: Batch) -> Tensor:
    """(3, H, 3W + 2 · GAP) in [0, 1], on the CPU: LQ enlarged to GT's pixels, restored, GT.

    Large pictures are cropped to their middle, so that H and W are at most SIDE; gaps are white. In
    inpainting, holes of LQ are black.
    """
    lq = F.interpolate(pair.lq[:, :3], size=pair.gt.shape[-2:], mode="nearest")
    parts = [middle(image[0]).clamp(0, 1) for image in (lq, restored, pair.gt)]
    gap = parts[0].new_ones(3, parts[0].shape[1], GAP)
    return torch.cat([parts[0], gap, parts[1], gap, parts[2]], dim=2).cpu()


def middle(image: Tensor) -> Tensor:
    """The central crop of (3, H, W), at most SIDE on each side."""
    top, left = (max(side - SIDE, 0) // 2 for side in image.shape[1:])
    return image[:, top : top + SIDE, left : left + SIDE]
