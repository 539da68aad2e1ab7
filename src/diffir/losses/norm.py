"""Batch norm over the pictures of all processes, also on CPUs, where torch's does not work."""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose moments are those of the global batch, however it is split.

    All processes must have the same number of pictures, all of one size.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        world = distributed.get_world_size() if distributed.is_initialized() else 1
        if world == 1 or not self.training:
            return super().forward(x)
        x = x.float()
        mean = summed(channel_mean(x) / world)  # (C,)
        x = x - mean[:, None, None]  # first: E[x²] − E[x]² cancels where x varies little
        variance = summed(channel_mean(x.square()) / world)
        self.update_moments(mean.detach(), variance.detach(), world * x.numel() // x.shape[1])
        x = x * (variance + self.eps).rsqrt()[:, None, None]
        return x * self.weight[:, None, None] + self.bias[:, None, None]

    @torch.no_grad()
    def update_moments(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running moments, the variance without its bias."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        momentum = self.momentum or 0.0
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * count / (count - 1), momentum)
        self.num_batches_tracked += 1


class SumOverProcesses(Function):
    """The sum of a tensor over all processes; its gradient is summed too, as all use the sum."""

    @staticmethod
    def forward(_context: Any, x: Tensor) -> Tensor:
        """The same sum in every process."""
        x = x.clone()
        distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Any:
        """Sum the gradients, differentiably, as a gradient penalty requires."""
        return summed(gradient)


def summed(x: Tensor) -> Tensor:
    """The sum over all processes, differentiable."""
    total: Tensor = SumOverProcesses.apply(x)  # type: ignore[no-untyped-call]
    return total


def channel_mean(x: Tensor) -> Tensor:
    """The mean of each channel, (C,), of (B, C, H, W)."""
    return x.mean(dim=(0, 2, 3))
