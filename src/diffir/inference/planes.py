"""Split a picture into the RGB that a network takes and the rest, and join them again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffir.images import Picture
from diffir.images.exif import of_bytes, packed
from diffir.images.holes import Holes


def split(picture: Picture) -> NDArray[np.float32]:
    """The colours for a network: (H, W, 3) in [0, 1], gray repeated three times; see `join`.

    Colours under full transparency are kept.
    """
    return np.repeat(picture.pixels, 3, axis=2) if picture.is_gray else picture.pixels


def join(restored: NDArray[np.floating], picture: Picture, holes: Holes | None = None) -> Picture:
    """The restored colours with alpha, bit depth and metadata of the original `picture`.

    `restored` is (sH, sW, 3), s an integer; it is clipped to [0, 1]. Gray pictures stay gray, by
    the mean of the channels, since their errors are equally large. Alpha becomes 1 in `holes`,
    which are filled, and is enlarged bicubically for s > 1. Raises ValueError for another shape,
    PictureError for NaN.
    """
    height, width = restored.shape[:2]
    scale = height // picture.height
    if restored.shape != (scale * picture.height, scale * picture.width, 3):
        raise ValueError(
            f"restored colours of shape {restored.shape} found; wanted a whole multiple of "
            f"{(picture.height, picture.width)}, and 3 channels"
        )
    colours = np.clip(restored, 0, 1).astype(np.float32)
    if picture.is_gray:  # in float64, where the sum of three equal ones is exact
        colours = colours.mean(axis=2, keepdims=True, dtype=np.float64).astype(np.float32)
    alpha = filled_alpha(picture, holes)
    return replace(
        picture,
        pixels=colours,
        alpha=alpha if scale == 1 else _enlarge(alpha, width, height),
        exif=packed(of_bytes(picture.exif), width=width, height=height),
    )


def filled_alpha(picture: Picture, holes: Holes | None) -> NDArray[np.float32] | None:
    """The alpha of a picture with its holes opaque, None without alpha."""
    if picture.alpha is None or holes is None:
        return picture.alpha
    return np.where(holes, np.float32(1), picture.alpha)


def _enlarge(
    alpha: NDArray[np.float32] | None, width: int, height: int
) -> NDArray[np.float32] | None:
    """Bicubic, since the ripples of Lanczos leave a faint halo where alpha was 0."""
    if alpha is None:
        return None
    image = Image.fromarray(alpha).resize((width, height), Image.Resampling.BICUBIC)
    enlarged: NDArray[np.float32] = np.asarray(image).clip(0, 1)
    return enlarged
