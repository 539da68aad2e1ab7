"""What keeps IPRs from becoming all alike: the variance and covariance terms of VICReg.

Bardes, Ponce, LeCun: VICReg, ICLR 2022, equations 1 to 4, with their γ and ε.
"""

import torch
from torch import Tensor

TARGET_STD = 1.0
EPS = 1e-4


def ipr_variance(ipr: Tensor) -> Tensor:
    """How far the standard deviations over the batch (B, 4C') stay below 1, mean over 4C'."""
    std = (ipr.var(dim=0) + EPS).sqrt()
    return (TARGET_STD - std).relu().mean()


def ipr_covariance(ipr: Tensor) -> Tensor:
    """Squared covariances between different numbers of the IPRs (B, 4C'), their sum over 4C'."""
    batch, length = ipr.shape
    centred = ipr - ipr.mean(dim=0)
    covariance = centred.T @ centred / (batch - 1)
    apart = ~torch.eye(length, dtype=torch.bool, device=ipr.device)
    return covariance[apart].square().sum() / length
