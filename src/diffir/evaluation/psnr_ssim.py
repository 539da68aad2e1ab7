"""PSNR by the protocol of the SR papers: 8-bit pictures, RGB or Y channel, a border left out."""

import math

import torch
from torch import Tensor


def to_y(rgb: Tensor) -> Tensor:
    """BT.601 luma of (B, 3, H, W) in [0, 1], as MATLAB's rgb2ycbcr: 16 to 235, (B, 1, H, W)."""
    weights = rgb.new_tensor([65.481, 128.553, 24.966])
    return 16 + (rgb * weights[:, None, None]).sum(dim=1, keepdim=True)


def psnr(restored: Tensor, gt: Tensor, *, border: int = 0, y_channel: bool = False) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture, (B,), computed in float64.

    Args:
        restored: (B, 3, H, W) in [0, 1]; round it to 8 bit first where files are compared.
        gt: the same shape.
        border: pixels left out on every side, the scale by custom.
        y_channel: compare luma alone, as SR papers do.

    Raises:
        ValueError: when the shapes differ or the border leaves nothing.
    """
    if restored.shape != gt.shape:
        raise ValueError(
            f"restored is {tuple(restored.shape)} and gt {tuple(gt.shape)}; must be equal"
        )
    height, width = gt.shape[-2:]
    if min(height, width) <= 2 * border:
        raise ValueError(f"a border of {border} leaves nothing of a {width}×{height} picture")
    inside = (..., slice(border, height - border), slice(border, width - border))
    difference = restored[inside].double() - gt[inside].double()
    difference = to_y(difference) - 16 if y_channel else 255 * difference
    return 20 * math.log10(255) - 10 * torch.log10(difference.square().mean(dim=(1, 2, 3)))
