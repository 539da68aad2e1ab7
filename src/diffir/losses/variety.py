"""Losses that keep the IPRs of a batch apart: VICReg's terms, and an estimate of the entropy.

Bardes, Ponce, LeCun: VICReg, ICLR 2022, equations 1 to 4, with their γ and ε. Sablayrolles, Douze,
Schmid, Jégou: Spreading vectors for similarity search, ICLR 2019, equation 3.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

TARGET_STD = 1.0
EPS = 1e-4


def ipr_variance(ipr: Tensor) -> Tensor:
    """How far the standard deviations over the batch (B, 4C') fall short of 1, mean over 4C'."""
    std = (ipr.var(dim=0) + EPS).sqrt()
    return (TARGET_STD - std).relu().mean()


def ipr_covariance(ipr: Tensor) -> Tensor:
    """Squared covariances between different elements of the IPRs (B, 4C'), their sum over 4C'."""
    batch, length = ipr.shape
    centred = ipr - ipr.mean(dim=0)
    covariance = centred.T @ centred / (batch - 1)
    off_diagonal = ~torch.eye(length, dtype=torch.bool, device=ipr.device)
    return covariance[off_diagonal].square().sum() / length


def ipr_entropy(ipr: Tensor) -> Tensor:
    """Minus the mean log distance from each direction of (B, 4C') to its nearest neighbour.

    Up to a constant and a factor, it is minus Kozachenko and Leonenko's estimate of the entropy.
    """
    x = F.normalize(ipr, dim=1)
    with torch.no_grad():  # no matrix product: autocast would round it
        distances = (x[:, None] - x).square().sum(dim=-1)  # (B, B)
        nearest = distances.fill_diagonal_(torch.inf).argmin(dim=1)
    return -((x - x[nearest]).square().sum(dim=1) + EPS**2).sqrt().log().mean()
