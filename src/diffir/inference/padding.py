"""Pad pictures of any size to the sides that a network requires, by reflection."""

import torch
from torch import Tensor


def reflected(length: int, padded: int, device: torch.device) -> Tensor:
    """Indices that extend a line of `length` pixels by repeated reflection to `padded`.

    Equals reflect padding where that is defined; a single pixel is repeated.
    """
    if length == 1:
        return torch.zeros(padded, dtype=torch.long, device=device)
    period = 2 * (length - 1)
    position = torch.arange(padded, device=device) % period
    return torch.minimum(position, period - position)


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Extend (B, C, H, W) at the bottom and right until both sides are divisible by `multiple`."""
    for dim in (-2, -1):
        length = x.shape[dim]
        if rest := -length % multiple:
            x = x.index_select(dim, reflected(length, length + rest, x.device))
    return x
