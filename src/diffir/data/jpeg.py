"""JPEG on tensors, picture by picture of another quality and with gradients, and as files do it.

B batch, H × W positions; blocks are 8 × 8, at y, x; i, j are the positions or frequencies in one.
"""

import math
from collections.abc import Callable
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


def soft_round(x: Tensor) -> Tensor:
    """Rounding that leaves a gradient: ⌊x⌉ + (x − ⌊x⌉)³."""
    nearest = x.round()
    return nearest + (x - nearest) ** 3


def quality_factor(quality: Tensor) -> Tensor:
    """What the tables are multiplied by: 1 at quality 50, 0.1 at 95."""
    return torch.where(quality < 50, 50 / quality, 2 - quality / 50)


def quantize(plane: Tensor, table: Tensor, rounding: Callable[[Tensor], Tensor]) -> Tensor:
    """One colour plane (B, H, W) after DCT, division by `table` (B, 8, 8), rounding and back."""
    dct = dct_matrix().to(plane)
    blocks = rearrange(plane, "b (y i) (x j) -> b y x i j", i=8, j=8)
    steps = table[:, None, None]
    coefficients = rounding(dct @ blocks @ dct.T / steps) * steps
    return rearrange(dct.T @ coefficients @ dct, "b y x i j -> b (y i) (x j)")


def jpeg(
    images: Tensor,
    quality: Tensor,
    rounding: Callable[[Tensor], Tensor] = torch.round,
    *,
    transpose_luma: bool = False,
) -> Tensor:
    """JPEG with 4:2:0 chroma of (B, 3, H, W) in [0, 1], quality (B,) from 1 to 100.

    The scaled tables are not rounded to integers, and the result not to 8 bits.
    `rounding=soft_round` lets gradients through. `transpose_luma` is how the published degradation
    has it: horizontal and vertical frequencies of the luma table are swapped against files.

    Raises:
        ValueError: when there is not one quality from 1 to 100 per picture.
    """
    if quality.shape != images.shape[:1] or not bool(((quality >= 1) & (quality <= 100)).all()):
        raise ValueError(
            f"qualities {quality.tolist()} found; wanted is one from 1 to 100 for each of "
            f"{len(images)} pictures"
        )
    height, width = images.shape[-2:]
    padded = F.pad(images, (0, -width % 16, 0, -height % 16), mode="replicate")
    ycc = torch.einsum("oc,bchw->bohw", images.new_tensor(TO_YCC), padded.clamp(0, 1) * 255)
    # Finer than 1 the encoders' integer tables do not go either.
    factor = quality_factor(quality.to(images))[:, None, None]
    luma_table, chroma_table = (
        (factor * images.new_tensor(table)).clamp(min=1) for table in (LUMA_TABLE, CHROMA_TABLE)
    )
    if transpose_luma:
        luma_table = luma_table.mT
    luma = quantize(ycc[:, 0] - 128, luma_table, rounding) + 128  # (B, H, W)
    small = F.avg_pool2d(ycc[:, 1:], 2)  # (B, 2, H/2, W/2)
    chroma = [quantize(plane, chroma_table, rounding) for plane in small.unbind(1)]
    large = [repeat(plane, "b y x -> b (y i) (x j)", i=2, j=2) for plane in chroma]
    rgb = torch.einsum("oc,bchw->bohw", images.new_tensor(TO_RGB), torch.stack([luma, *large], 1))
    return (rgb[..., :height, :width] / 255).clamp(0, 1)


def jpeg_file(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """(H, W, 3) 0 to 255 as it comes back from a JPEG file with 4:2:0 chroma."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file) as image:
        return np.array(image)


def through_jpeg_file(image: Tensor, quality: int) -> Tensor:
    """(1, 3, H, W) in [0, 1] as it comes back from a JPEG file, on the device it was on."""
    return to_tensor(jpeg_file(to_pixels(image.cpu()), quality)).to(image)
