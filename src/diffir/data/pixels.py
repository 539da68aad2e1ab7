"""Pictures as uint8 arrays, as in files and crops, and as tensors."""

import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from diffir.images import Picture

Pixels = NDArray[np.uint8]
"""(H, W, 3), 0 to 255."""


def rgb_pixels(picture: Picture) -> Pixels:
    """The colours of any picture as 8-bit RGB, without alpha."""
    colours = np.floor(picture.pixels * 255 + 0.5).astype(np.uint8)
    return np.repeat(colours, 3, axis=2) if picture.is_gray else colours


def to_tensor(pixels: Pixels) -> Tensor:
    """(H, W, 3) 0..255 to (1, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


def to_pixels(image: Tensor) -> Pixels:
    """(1, 3, H, W) in [0, 1] to (H, W, 3) 0..255, clipped and rounded."""
    scaled = (image[0].clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(scaled.permute(1, 2, 0).numpy())


def png_of(pixels: NDArray[np.uint8], compress_level: int = 6) -> bytes:
    """The bytes of a PNG file of (H, W, 3) or (H, W)."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=compress_level)
    return file.getvalue()


def round_to_8_bit(image: Tensor) -> Tensor:
    """Clip to [0, 1] and round to multiples of 1/255."""
    return (image.clamp(0, 1) * 255).round() / 255
