"""Masks as people draw them: white, or transparent, is what shall be filled."""

import numpy as np
from numpy.typing import NDArray

from diffir.errors import MaskError
from diffir.images import Picture

Holes = NDArray[np.bool_]
"""(H, W), True = hole."""


def holes_of(mask: Picture) -> Holes:
    """Where a mask has holes: its transparent part if it has one, else its white part.

    Halfway gray or halfway transparent and beyond counts as hole.
    """
    if mask.alpha is not None and mask.alpha.min() < 1:
        return mask.alpha <= 0.5
    return np.asarray(mask.pixels.mean(axis=2) >= 0.5)


def find_holes(picture: Picture, mask: Picture | None) -> Holes:
    """The holes of a picture to be inpainted, by its mask or else by its own transparency.

    Raises:
        MaskError: when there is no mask, it has another size, or nothing is hole or nothing known.
    """
    if mask is None and picture.alpha is None:
        raise MaskError("inpainting needs a mask of the picture's size; white = hole")
    holes = holes_of(mask if mask is not None else picture)
    if holes.shape != picture.pixels.shape[:2]:
        raise MaskError(
            f"the mask is {holes.shape[1]}×{holes.shape[0]}, the picture "
            f"{picture.width}×{picture.height}; give a mask of the picture's size"
        )
    if not holes.any():
        raise MaskError("the mask has no hole; paint white what shall be filled, black the rest")
    if holes.all():
        raise MaskError(
            "the mask is one hole; paint black what is known, white what shall be filled"
        )
    return holes
