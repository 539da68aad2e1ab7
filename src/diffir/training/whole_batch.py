"""The whole batch, of which each process holds a share."""

import torch
from torch import Tensor, distributed

from diffir.losses.norm import summed


def whole_batch(share: Tensor) -> Tensor:
    """(B, …) of this process to (processes · B, …) of all, differentiable.

    Each process has to bring equally many pictures, and the same has to be made of it in each.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return share
    empty = torch.zeros_like(share)
    own, world = distributed.get_rank(), distributed.get_world_size()
    return summed(torch.cat([share if rank == own else empty for rank in range(world)]))


def size_of(ipr: Tensor) -> Tensor:
    """The root mean square of the IPRs (B, 4C') of all processes, without gradient."""
    return whole_batch(ipr.detach().float().square().mean(dim=1)).mean().sqrt()
