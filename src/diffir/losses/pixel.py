"""Losses between restored and true pixels, both (B, 3, H, W) in [0, 1]."""

import torch
from torch import Tensor

CHARBONNIER_EPS = 1e-3  # as in LapSRN and most later work
KNOWN_WEIGHT = 10.0  # as in LaMa, which leaves the hole to the perceptual and adversarial losses
HOLE_WEIGHT = 0.0
PSNR_EPS = 1e-8  # caps the PSNR at 80 dB, for equal pictures and empty holes


def pixel_l1(restored: Tensor, gt: Tensor) -> Tensor:
    """Mean absolute difference, L_rec of the paper; both (B, 3, H, W)."""
    return (restored - gt).abs().mean()


def masked_l1(
    restored: Tensor,
    gt: Tensor,
    mask: Tensor,
    known_weight: float = KNOWN_WEIGHT,
    hole_weight: float = HOLE_WEIGHT,
) -> Tensor:
    """Mean absolute difference with one weight on known pixels and another in the hole (LaMa).

    The mask is (B, 1, H, W), 1 = hole. The mean is over all pixels, so a small hole counts little.
    """
    weight = known_weight * (1 - mask) + hole_weight * mask  # (B, 1, H, W)
    return ((restored - gt).abs() * weight).mean()


def charbonnier(restored: Tensor, gt: Tensor, eps: float = CHARBONNIER_EPS) -> Tensor:
    """Mean of `sqrt(d² + ε²)`: L1 smoothed near 0 (Charbonnier et al. 1994)."""
    return torch.sqrt((restored - gt).square() + eps**2).mean()


def negative_psnr(restored: Tensor, gt: Tensor, mask: Tensor | None = None) -> Tensor:
    """Minus the PSNR in dB, mean over pictures (HINet).

    With a mask (B, 1, H, W), 1 = hole, of the hole only.
    """
    squared = (restored - gt).square().mean(dim=1)  # (B, H, W)
    weight = torch.ones_like(squared) if mask is None else mask[:, 0]
    error = (squared * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(min=1)
    return 10 * torch.log10(error + PSNR_EPS).mean()
