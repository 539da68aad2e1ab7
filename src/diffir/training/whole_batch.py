"""The whole batch, of which each process holds a share."""

import torch
from torch import Tensor, distributed

from diffir.losses.norm import summed


def whole_batch(share: Tensor) -> Tensor:
    """(B, …) of this process to (processes · B, …) of all, differentiable.

    All processes must have the same number of pictures and compute the same from the result.
    """
    if processes() == 1:
        return share
    empty = torch.zeros_like(share)
    own = distributed.get_rank()
    return summed(torch.cat([share if rank == own else empty for rank in range(processes())]))


def size_of(ipr: Tensor) -> Tensor:
    """The root mean square of the IPRs (B, 4C') of all processes, without gradient."""
    return whole_batch(ipr.detach().float().square().mean(dim=1)).mean().sqrt()


def of_all_processes(own: dict[str, str]) -> dict[str, str]:
    """The entries of all processes, each of which has to call this."""
    if processes() == 1:
        return own
    gathered: list[dict[str, str]] = [{} for _ in range(processes())]
    distributed.all_gather_object(gathered, own)
    return {name: text for one in gathered for name, text in one.items()}


def processes() -> int:
    """The number of processes that share a batch."""
    return distributed.get_world_size() if distributed.is_initialized() else 1
