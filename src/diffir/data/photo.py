"""One photo degraded as a whole, to try a network on."""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from diffir.errors import DataError
from diffir.images import Picture
from diffir.images.exif import of_bytes, packed

from .degradations import Bicubic, MakesPairs
from .draws import Draws
from .masks import STREAM as MASK_STREAM
from .masks import Holes, MaskSettings, random_mask
from .motion import MotionBlur, motion_blur
from .pixels import round_to_8_bit
from .resize import imresize
from .second_order import SecondOrder, degrade

ONE = (0,)
"""The photo's index in its batch of one."""
MASK_SIDE = 256  # shorter side at which masks are drawn, to be scaled with the photo


def degraded(picture: Picture, degradation: MakesPairs, seed: int, scale: int = 1) -> Picture:
    """The photo as LQ, in 8 bits, with its metadata; holes only change the transparency.

    Sides are cropped to a multiple of the scale and divided by it.

    Raises:
        DataError: when the photo is too small.
    """
    height, width = (side // scale * scale for side in (picture.height, picture.width))
    if not height or not width:
        raise DataError(
            f"{picture.width}×{picture.height} pixels found; at least {scale}×{scale} are wanted"
        )
    picture = replace(
        picture,
        pixels=picture.pixels[:height, :width],
        alpha=None if picture.alpha is None else picture.alpha[:height, :width],
    )
    draws = Draws((seed,), ONE)
    if isinstance(degradation, Holes):
        hole = photo_mask(height, width, degradation.masks, draws)
        known = np.ones((height, width), np.float32) if picture.alpha is None else picture.alpha
        return replace(picture, alpha=np.where(hole, np.float32(0), known))
    lq = to_lq(as_image(picture.pixels), degradation, scale, draws)
    alpha = None
    if picture.alpha is not None:
        alpha = as_pixels(imresize(as_image(picture.alpha[..., None]), 1 / scale))[..., 0]
    pixels = as_pixels(lq)
    return replace(
        picture,
        pixels=pixels.mean(axis=2, keepdims=True) if picture.is_gray else pixels,
        alpha=alpha,
        bit_depth=8,
        exif=packed(of_bytes(picture.exif), width=pixels.shape[1], height=pixels.shape[0]),
    )


@torch.no_grad()
def to_lq(image: Tensor, degradation: MakesPairs, scale: int, draws: Draws) -> Tensor:
    """LQ (1, 3, H/scale, W/scale) of a whole photo (1, 1 or 3, H, W), borders included."""
    colours = image.expand(-1, 3, -1, -1).contiguous()
    if isinstance(degradation, Bicubic):
        return round_to_8_bit(imresize(colours, 1 / scale))
    if isinstance(degradation, SecondOrder):
        return degrade(colours, scale, degradation, draws)[0]
    assert isinstance(degradation, MotionBlur)
    return round_to_8_bit(motion_blur(colours, degradation, draws, scale)[0])


def photo_mask(
    height: int, width: int, settings: MaskSettings, draws: Draws
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """A mask (H, W) whose holes are as large relative to the photo as to a training crop."""
    shrink = MASK_SIDE / min(height, width)
    small = round(height * shrink), round(width * shrink)
    (draw,) = draws.own(MASK_STREAM)
    mask = torch.from_numpy(random_mask(*small, settings, draw))[None, None]
    return F.interpolate(mask, size=(height, width), mode="nearest")[0, 0].numpy() > 0


def as_image(pixels: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Tensor:
    """(H, W, C) to (1, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]


def as_pixels(image: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(1, C, H, W) to (H, W, C) in [0, 1]."""
    return np.ascontiguousarray(image[0].clamp(0, 1).permute(1, 2, 0).numpy())
