"""Pictures as arrays of bytes, as files and crops hold them, and as tensors."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffir.images import Picture

Pixels = NDArray[np.uint8]
"""(H, W, 3), 0 to 255."""


def rgb_pixels(picture: Picture) -> Pixels:
    """The colours of any picture: gray three times, without alpha, 16 bits rounded to 8."""
    colours = np.floor(picture.pixels * 255 + 0.5).astype(np.uint8)
    return np.repeat(colours, 3, axis=2) if picture.is_gray else colours


def to_tensor(pixels: Pixels) -> Tensor:
    """(H, W, 3) 0..255 to (1, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


def to_pixels(image: Tensor) -> Pixels:
    """(1, 3, H, W) in [0, 1] to (H, W, 3) 0..255, clipped and rounded as files are."""
    scaled = (image[0].clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(scaled.permute(1, 2, 0).numpy())


def round_to_8_bit(image: Tensor) -> Tensor:
    """Clipped to [0, 1] and rounded to what a file of 8 bits holds."""
    return (image.clamp(0, 1) * 255).round() / 255
