"""Losses between restored and true pixels, both (B, 3, H, W) in [0, 1]."""

import torch
from torch import Tensor

CHARBONNIER_EPS = 1e-3  # of LapSRN, and of most who came after
KNOWN_WEIGHT = 10.0  # of LaMa, which leaves the hole to the perceptual and adversarial losses
HOLE_WEIGHT = 0.0
PSNR_EPS = 1e-8  # 80 dB: equal pictures, and holes of no pixel, teach nothing


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

    The mask is (B, 1, H, W), 1 = hole. The mean is over all pixels: a small hole counts little.
    """
    weight = known_weight * (1 - mask) + hole_weight * mask  # (B, 1, H, W)
    return ((restored - gt).abs() * weight).mean()


def charbonnier(restored: Tensor, gt: Tensor, eps: float = CHARBONNIER_EPS) -> Tensor:
    """Mean of `sqrt(d² + ε²)`: L1 with a rounded tip (Charbonnier et al. 1994)."""
    return torch.sqrt((restored - gt).square() + eps**2).mean()


def negative_psnr(restored: Tensor, gt: Tensor, mask: Tensor | None = None) -> Tensor:
    """Minus the PSNR in dB, the mean over pictures: what is measured afterwards (HINet).

    Beside a mask (B, 1, H, W), 1 = hole, it is that of the hole alone.
    """
    squared = (restored - gt).square().mean(dim=1)  # (B, H, W)
    weight = torch.ones_like(squared) if mask is None else mask[:, 0]
    error = (squared * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(min=1)
    return 10 * torch.log10(error + PSNR_EPS).mean()
