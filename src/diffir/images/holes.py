"""Holes: what a mask means, white or transparent being what shall be filled."""

import numpy as np
from numpy.typing import NDArray

from .picture import Picture

Holes = NDArray[np.bool_]
"""(H, W), True = hole."""


def transparent_part(picture: Picture) -> Holes | None:
    """Where a picture is halfway transparent or more, None where it nowhere is."""
    clear = None if picture.alpha is None else picture.alpha <= 0.5
    return clear if clear is not None and clear.any() else None


def holes_of(mask: Picture) -> Holes:
    """Where a mask has holes: its transparent part if it has one, else its white part.

    Halfway gray counts as white. White on transparent is all hole: either may have been meant.
    """
    white: Holes = mask.pixels.mean(axis=2) >= 0.5
    clear = transparent_part(mask)
    if clear is None:
        return white
    return np.ones_like(clear) if (white | clear).all() else clear
