"""From a frame's pixels to RGB and back, as its tags say.

FFmpeg's scaler converts bit depth and chroma resolution, which it does exactly; the matrix between
YCbCr and RGB is ours, because the scaler's is up to one step off in full range.
Y luma, Cb and Cr colour differences, n bits; 16-bit codes are n-bit codes shifted to the left.
"""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from av.video.format import VideoFormat
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray
from torch import Tensor

from diffir.errors import PictureError

WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""Kr and Kb, the shares of red and blue in luma, by the numbers of ITU-T H.273."""
UNSPECIFIED = 2
BT709, BT601 = 1, 6
FULL_RANGE = 2
HD = 720  # rows from which players assume BT.709 if a file does not say

# The scaler's filter that loses least when chroma is halved and doubled again.
SCALING = int(
    Interpolation.LANCZOS
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)


@dataclass(frozen=True, kw_only=True)
class Colour:
    """How a video encodes colour, by the code points of ITU-T H.273."""

    matrix: int
    """As tagged; 2 if untagged."""
    full: bool
    """Whether codes go from 0 to 2ⁿ − 1, not from 16 to 235 or 240 (in 8 bits)."""
    range_tag: int
    primaries: int
    transfer: int
    gray: bool
    """Whether there is only luma."""

    def matrix_at(self, height: int) -> int:
        """The matrix, or the one that players assume for this height if untagged."""
        if self.matrix != UNSPECIFIED:
            return self.matrix
        return BT709 if height >= HD else BT601


def is_gray(pixels: VideoFormat) -> bool:
    """Whether a format has only luma."""
    return not is_rgb(pixels) and sum(not part.is_alpha for part in pixels.components) == 1


def is_rgb(pixels: VideoFormat) -> bool:
    """Whether a format needs no matrix."""
    return pixels.is_rgb or pixels.has_palette or pixels.is_bit_stream


def depth_of(pixels: VideoFormat) -> int:
    """Bits per component."""
    return max(component.bits for component in pixels.components)


def colour_of(frame: av.VideoFrame, path: Path) -> Colour:
    """The colour tags of a frame; PictureError for an unsupported matrix."""
    if is_rgb(frame.format):  # there is no matrix, so the output gets the most common one
        matrix, range_tag = BT709, int(ColorRange.MPEG)
    else:
        matrix, range_tag = frame.colorspace, frame.color_range
        if frame.format.name.startswith("yuvj") or (is_gray(frame.format) and not range_tag):
            range_tag = FULL_RANGE
        matrix = UNSPECIFIED if matrix in (0, 3) else matrix
    if matrix != UNSPECIFIED and matrix not in WEIGHTS:
        raise PictureError(
            f"{path} has the colour matrix {matrix} (ITU-T H.273), which is not supported; "
            "convert it to BT.709, BT.601 or BT.2020"
        )
    return Colour(
        matrix=matrix,
        full=range_tag == FULL_RANGE,
        range_tag=range_tag,
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
        gray=is_gray(frame.format),
    )


def to_rgb(frame: av.VideoFrame, colour: Colour) -> Tensor:
    """The picture in a frame: (1, 3, H, W), float32 in [0, 1]."""
    bits = depth_of(frame.format)
    if is_rgb(frame.format):
        pixels, white = ("rgb24", 255) if bits <= 8 else ("rgb48le", 65535)
        return tensor_of(scaled(frame, pixels, None).to_ndarray()) / white
    if is_gray(frame.format):
        stretched = tensor_of(scaled(frame, "gray16le", ColorRange.JPEG).to_ndarray()[..., None])
        codes = torch.round(stretched * ((2**bits - 1) / 65535)) * 2 ** (16 - bits)
        return luma_of(codes, bits, colour.full).expand(-1, 3, -1, -1).clamp(0, 1)
    codes = tensor_of(scaled(frame, "yuv444p16le", ColorRange.MPEG).to_ndarray())
    luma = luma_of(codes[:, :1], bits, colour.full)
    differences = difference_of(codes[:, 1:], bits, colour.full)
    blue, red = differences[:, :1], differences[:, 1:]
    return ycbcr_to_rgb(luma, blue, red, colour.matrix_at(frame.height)).clamp_(0, 1)


def from_rgb(rgb: Tensor, pixels: VideoFormat, colour: Colour, matrix: int) -> av.VideoFrame:
    """A frame in YCbCr, from (1, 3, H, W) in [0, 1]."""
    bits = depth_of(pixels)
    luma, blue, red = rgb_to_ycbcr(rgb, matrix)
    differences = torch.cat([blue, red], dim=1) * (not colour.gray)
    codes = [
        codes_of_luma(luma, bits, colour.full),
        codes_of_difference(differences, bits, colour.full),
    ]
    array = array_of(torch.cat(codes, dim=1))
    frame = av.VideoFrame.from_ndarray(array, "yuv444p16le", channel_last=True)
    return scaled(frame, pixels.name, ColorRange.MPEG)


def scaled(frame: av.VideoFrame, pixels: str, both: ColorRange | None) -> av.VideoFrame:
    """The frame in another pixel format.

    With the same range and matrix on both sides, codes are only shifted, never stretched.
    """
    matrix = None if both is None else Colorspace.ITU709
    if frame.format.name.startswith("yuvj"):  # a name that implies full range
        plain = frame.format.name.replace("yuvj", "yuv")
        full = ColorRange.JPEG
        frame = frame.reformat(format=plain, src_color_range=full, dst_color_range=full)
    return frame.reformat(
        format=pixels,
        interpolation=SCALING,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=both,
        dst_color_range=both,
    )


def tensor_of(array: NDArray[np.generic]) -> Tensor:
    """(1, C, H, W) float32 from (H, W, C)."""
    return torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)[None]


def array_of(codes: Tensor) -> NDArray[np.uint16]:
    """(H, W, C) uint16 from integers (1, C, H, W)."""
    return np.ascontiguousarray(codes[0].permute(1, 2, 0).numpy().astype(np.uint16))


def luma_of(codes: Tensor, bits: int, full: bool) -> Tensor:
    """Y, 0 for black and 1 for white, from 16-bit codes."""
    return codes / (65536 - 2 ** (16 - bits)) if full else (codes / 256 - 16) / 219


def difference_of(codes: Tensor, bits: int, full: bool) -> Tensor:
    """Cb or Cr, from -½ to ½, from 16-bit codes."""
    codes = codes - 32768
    return codes / (65536 - 2 ** (16 - bits)) if full else codes / 256 / 224


def codes_of_luma(luma: Tensor, bits: int, full: bool) -> Tensor:
    """The nearest n-bit codes of Y, as 16-bit codes."""
    return whole(luma * (2**bits - 1) if full else (luma * 219 + 16) * 2 ** (bits - 8), bits)


def codes_of_difference(difference: Tensor, bits: int, full: bool) -> Tensor:
    """The nearest n-bit codes of Cb or Cr, as 16-bit codes."""
    reach = 2**bits - 1 if full else 224 * 2 ** (bits - 8)
    return whole(difference * reach + 2 ** (bits - 1), bits)


def whole(codes: Tensor, bits: int) -> Tensor:
    """Codes rounded to n bits, and shifted to 16 bits."""
    return codes.round().clamp(0, 2**bits - 1) * 2 ** (16 - bits)


def ycbcr_to_rgb(luma: Tensor, blue: Tensor, red: Tensor, matrix: int) -> Tensor:
    """(1, 3, H, W) from Y, Cb and Cr, each (1, 1, H, W)."""
    kr, kb = WEIGHTS[matrix]
    r = luma + 2 * (1 - kr) * red
    b = luma + 2 * (1 - kb) * blue
    g = (luma - kr * r - kb * b) / (1 - kr - kb)
    return torch.cat([r, g, b], dim=1)


def rgb_to_ycbcr(rgb: Tensor, matrix: int) -> tuple[Tensor, Tensor, Tensor]:
    """Y, Cb and Cr, each (1, 1, H, W), from (1, 3, H, W)."""
    kr, kb = WEIGHTS[matrix]
    r, g, b = rgb[:, :1], rgb[:, 1:2], rgb[:, 2:]
    luma = kr * r + (1 - kr - kb) * g + kb * b
    return luma, (b - luma) / (2 * (1 - kb)), (r - luma) / (2 * (1 - kr))
