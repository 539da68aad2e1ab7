"""Padding pictures to the sides that a network takes, by reflection, from 1×1 up."""

import torch
from torch import Tensor


def reflected(length: int, padded: int) -> Tensor:
    """Indices that continue a line of `length` pixels by reflection, back and forth, to `padded`.

    Equals reflect padding where that exists; a single pixel is repeated.
    """
    if length == 1:
        return torch.zeros(padded, dtype=torch.long)
    period = 2 * (length - 1)
    position = torch.arange(padded) % period
    return torch.minimum(position, period - position)


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """(B, C, H, W) continued below and at the right until both sides divide by `multiple`."""
    for dim in (-2, -1):
        length = x.shape[dim]
        if rest := -length % multiple:
            x = x.index_select(dim, reflected(length, length + rest).to(x.device))
    return x
