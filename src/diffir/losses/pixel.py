"""Losses between restored and true pixels."""

from torch import Tensor


def pixel_l1(restored: Tensor, gt: Tensor) -> Tensor:
    """Mean absolute difference, L_rec of the paper; both (B, 3, H, W)."""
    return (restored - gt).abs().mean()
