"""What keeps IPRs from becoming all alike: terms of VICReg, and an estimate of their entropy.

Bardes, Ponce, LeCun: VICReg, ICLR 2022, equations 1 to 4, with their γ and ε. Sablayrolles, Douze,
Schmid, Jégou: Spreading vectors for similarity search, ICLR 2019, equation 3.
"""

import torch
import torch.nn.functional as F
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


def ipr_entropy(ipr: Tensor) -> Tensor:
    """Minus the mean logarithm of how far each IPR of (B, 4C') is from its nearest, as directions.

    Up to a constant it is minus Kozachenko and Leonenko's estimate of their entropy.
    """
    x = F.normalize(ipr, dim=1)
    itself = torch.eye(len(x), dtype=torch.bool, device=x.device)
    nearest = (x @ x.T).detach().masked_fill(itself, -1).argmax(dim=1)
    return -((x - x[nearest]).square().sum(dim=1) + EPS**2).sqrt().log().mean()
