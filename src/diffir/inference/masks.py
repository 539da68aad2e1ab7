"""Hole masks as users draw them: white or transparent pixels are filled."""

import numpy as np

from diffir.errors import MaskError
from diffir.images import Picture
from diffir.images.holes import Holes, holes_of, transparent_part
from diffir.tasks import misfit_mask, missing_mask


def require_white(mask: object) -> None:
    """Raise MaskError for an array of integers 0 and 1, in which nothing is white."""
    if isinstance(mask, np.ndarray) and mask.dtype.kind in "iu" and mask.max(initial=0) <= 1:
        raise MaskError(
            f"the mask has no hole: a {mask.dtype} array with nothing above 1 found, and white is "
            "255 in uint8; give a bool array, or multiply by 255"
        )


def find_holes(picture: Picture, mask: Picture | None) -> Holes:
    """The holes of a picture to be inpainted, from its mask or else from its own transparency.

    Raises:
        MaskError: when there is no mask, it has another size, or all or none of it is hole.
    """
    holes = transparent_part(picture) if mask is None else holes_of(mask)
    if holes is None:
        raise missing_mask()
    if holes.shape != picture.pixels.shape[:2]:
        raise misfit_mask(holes.shape[::-1], (picture.width, picture.height))
    if not holes.any():
        raise MaskError("the mask has no hole; paint white what should be filled, black the rest")
    if holes.all():
        raise MaskError(
            "the mask is white or transparent all over, and both mean hole; "
            "paint black what is known"
        )
    return holes
