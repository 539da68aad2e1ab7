"""Masks as people draw them: white, or transparent, is what shall be filled."""

from diffir.errors import MaskError
from diffir.images import Picture
from diffir.images.holes import Holes, holes_of, transparent_part
from diffir.tasks import missing_mask


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
