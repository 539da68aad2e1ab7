"""JPEG on tensors, each picture with its own quality, and by the encoder that writes files.

B batch, H × W positions; blocks are 8 × 8, at y, x; i, j index positions or frequencies in a block.
"""

import math
from io import BytesIO

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .pixels import to_pixels, to_tensor

# The example tables of the standard (ITU-T T.81, K.1 and K.2), which encoders scale by quality.
LUMA_TABLE = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]
CHROMA_TABLE = [
    [17, 18, 24, 47, 99, 99, 99, 99],
    [18, 21, 26, 66, 99, 99, 99, 99],
    [24, 26, 56, 99, 99, 99, 99, 99],
    [47, 66, 99, 99, 99, 99, 99, 99],
    *[[99] * 8] * 4,
]
# JFIF: full-range YCbCr of ITU-R BT.601, chroma around 0.
TO_YCC = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
TO_RGB = [[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]]


def dct_matrix() -> Tensor:
    """The orthonormal 8-point DCT, (frequencies, positions) float64."""
    line = torch.arange(8, dtype=torch.float64)
    waves = torch.cos(math.pi / 8 * line[:, None] * (line + 0.5)) / 2
    waves[0] /= math.sqrt(2)
    return waves


def quality_factor(quality: Tensor) -> Tensor:
    """Factor of the tables: 1 at quality 50, 0.1 at 95."""
    return torch.where(quality < 50, 50 / quality, 2 - quality / 50)


def quantize(plane: Tensor, table: Tensor) -> Tensor:
    """One colour plane (B, H, W) with its DCT quantised by `table` (B, 8, 8)."""
    dct = dct_matrix().to(plane)
    blocks = rearrange(plane, "b (y i) (x j) -> b y x i j", i=8, j=8)
    steps = table[:, None, None]
    coefficients = (dct @ blocks @ dct.T / steps).round() * steps
    return rearrange(dct.T @ coefficients @ dct, "b y x i j -> b (y i) (x j)")


def jpeg(images: Tensor, quality: Tensor, *, transpose_luma: bool = False) -> Tensor:
    """JPEG with 4:2:0 chroma of (B, 3, H, W) in [0, 1], quality (B,) from 1 to 100.

    The scaled tables are not rounded to integers, and the result not to 8 bits.
    `transpose_luma` swaps horizontal and vertical frequencies of the luma table, as the published
    degradation does, unlike files.

    Raises:
        ValueError: when there is not one quality from 1 to 100 per picture.
    """
    if quality.shape != images.shape[:1] or not bool(((quality >= 1) & (quality <= 100)).all()):
        raise ValueError(
            f"qualities {quality.tolist()} found; wanted one from 1 to 100 for each of "
            f"{len(images)} pictures"
        )
    height, width = images.shape[-2:]
    padded = F.pad(images, (0, -width % 16, 0, -height % 16), mode="replicate")
    ycc = torch.einsum("oc,bchw->bohw", images.new_tensor(TO_YCC), padded.clamp(0, 1) * 255)
    # At least 1, as in the encoders' integer tables
    factor = quality_factor(quality.to(images))[:, None, None]
    luma_table, chroma_table = (
        (factor * images.new_tensor(table)).clamp(min=1) for table in (LUMA_TABLE, CHROMA_TABLE)
    )
    if transpose_luma:
        luma_table = luma_table.mT
    luma = quantize(ycc[:, 0] - 128, luma_table) + 128  # (B, H, W)
    small = F.avg_pool2d(ycc[:, 1:], 2)  # (B, 2, H/2, W/2)
    chroma = [quantize(plane, chroma_table) for plane in small.unbind(1)]
    large = [repeat(plane, "b y x -> b (y i) (x j)", i=2, j=2) for plane in chroma]
    rgb = torch.einsum("oc,bchw->bohw", images.new_tensor(TO_RGB), torch.stack([luma, *large], 1))
    return (rgb[..., :height, :width] / 255).clamp(0, 1)


def jpeg_file(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """(H, W, 3) 0 to 255, encoded and decoded as a JPEG file with 4:2:0 chroma."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file) as image:
        return np.array(image)


def through_jpeg_file(image: Tensor, quality: int) -> Tensor:
    """(1, 3, H, W) in [0, 1], encoded and decoded as a JPEG file, on its own device."""
    return to_tensor(jpeg_file(to_pixels(image.cpu()), quality)).to(image)
