"""Losses between the estimated and the true IPR, both (B, 4C'): L_diff and its ablations."""

import torch.nn.functional as F
from torch import Tensor

KL_TEMPERATURE = 0.15  # as in the authors' code


def ipr_l1(estimated: Tensor, true: Tensor) -> Tensor:
    """Mean absolute difference, L_diff of the paper."""
    return (estimated - true).abs().mean()


def ipr_l2(estimated: Tensor, true: Tensor) -> Tensor:
    """Mean squared difference."""
    return (estimated - true).square().mean()


def ipr_kl(estimated: Tensor, true: Tensor, temperature: float = KL_TEMPERATURE) -> Tensor:
    """KL(true ‖ estimated) of the two IPRs as softmax distributions, mean over the batch."""
    return F.kl_div(
        F.log_softmax(estimated / temperature, dim=1),
        F.log_softmax(true / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
