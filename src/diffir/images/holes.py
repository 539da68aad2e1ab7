"""Holes: the part of a mask, white or transparent, that is to be filled."""

import numpy as np
from numpy.typing import NDArray

from .picture import Picture

Holes = NDArray[np.bool_]
"""(H, W), True = hole."""


def transparent_part(picture: Picture) -> Holes | None:
    """Where a picture is at least half transparent; None if it nowhere is."""
    clear = None if picture.alpha is None else picture.alpha <= 0.5
    return clear if clear is not None and clear.any() else None


def holes_of(mask: Picture) -> Holes:
    """Where a mask has holes: its transparent part if it has one, else its white part.

    Gray of 0.5 counts as white. White on transparent is all hole: either may be meant.
    """
    white: Holes = mask.pixels.mean(axis=2) >= 0.5
    clear = transparent_part(mask)
    if clear is None:
        return white
    return np.ones_like(clear) if (white | clear).all() else clear
