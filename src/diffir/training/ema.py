"""The exponential moving average (EMA) of a network, which is validated, saved and used."""

import copy
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def average_of(network: Network) -> Network:
    """A copy to average into, without gradients."""
    return copy.deepcopy(network).requires_grad_(False).eval()


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """`average ← decay · average + (1 − decay) · network`, of parameters and buffers."""
    ours = [parameter.detach() for parameter in network.parameters()]
    torch._foreach_lerp_(list(average.parameters()), ours, 1 - decay)
    for mean, buffer in zip(average.buffers(), network.buffers(), strict=True):
        mean.lerp_(buffer, 1 - decay)  # running moments have to match the averaged weights
