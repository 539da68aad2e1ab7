"""Masks as people draw them: white, or transparent, is what shall be filled."""

import numpy as np
from numpy.typing import NDArray

from diffir.errors import MaskError
from diffir.images import Picture
from diffir.tasks import missing_mask

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


def find_holes(picture: Picture, mask: Picture | None) -> Holes:
    """The holes of a picture to be inpainted, by its mask or else by its own transparency.

    Raises:
        MaskError: when there is no mask, it has another size, or nothing is hole or nothing known.
    """
    holes = transparent_part(picture) if mask is None else holes_of(mask)
    if holes is None:
        raise missing_mask()
    if holes.shape != picture.pixels.shape[:2]:
        raise MaskError(
            f"the mask is {holes.shape[1]}×{holes.shape[0]}, the picture "
            f"{picture.width}×{picture.height}; give a mask of the picture's size"
        )
    if not holes.any():
        raise MaskError("the mask has no hole; paint white what shall be filled, black the rest")
    if holes.all():
        raise MaskError(
            "the mask is white or transparent all over, and both mean hole; "
            "paint black what is known"
        )
    return holes
