"""Batch norm over the pictures of all processes, on CPUs too, where torch's own does not work."""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose moments are those of the global batch, so that its split changes nothing.

    Each process has to bring equally many pictures of one size.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        world = distributed.get_world_size() if distributed.is_initialized() else 1
        if world == 1 or not self.training:
            return super().forward(x)
        x = x.float()
        mean = summed(channel_mean(x) / world)  # (C,)
        x = x - mean[:, None, None]  # first, for E[x²] − E[x]² is no variance where x varies little
        variance = summed(channel_mean(x.square()) / world)
        self.remember(mean.detach(), variance.detach(), world * x.numel() // x.shape[1])
        x = x * (variance + self.eps).rsqrt()[:, None, None]
        return x * self.weight[:, None, None] + self.bias[:, None, None]

    @torch.no_grad()
    def remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running moments, the variance without its bias."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        momentum = self.momentum or 0.0
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * count / (count - 1), momentum)
        self.num_batches_tracked += 1


class SumOverProcesses(Function):
    """The sum of a tensor over all processes; so is its gradient, for all of them used it."""

    @staticmethod
    def forward(_context: Any, x: Tensor) -> Tensor:
        """The same in every process."""
        x = x.clone()
        distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Any:
        """Differentiable again, as a gradient penalty needs."""
        return summed(gradient)


def summed(x: Tensor) -> Tensor:
    """The sum over all processes, differentiable."""
    total: Tensor = SumOverProcesses.apply(x)  # type: ignore[no-untyped-call]
    return total


def channel_mean(x: Tensor) -> Tensor:
    """The mean of each channel, (C,), of (B, C, H, W)."""
    return x.mean(dim=(0, 2, 3))
