"""Batch: what one training step learns from."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Batch:
    """LQ as the network sees it and its ground truth, values in [0, 1]."""

    lq: Tensor
    """(B, in_channels, H, W)."""
    gt: Tensor
    """(B, 3, H·scale, W·scale)."""
