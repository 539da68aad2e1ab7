"""Picture: an image with everything that must survive restoration."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffir.errors import PictureError

from . import exif

# Pillow's mode → the mode it is converted to; an A is added if there is transparency.
_PIL_MODES = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """Colour, alpha and metadata of one upright picture.

    Raises PictureError if shapes, types or ranges differ from those below.
    """

    pixels: NDArray[np.float32] = field(repr=False)
    """(H, W, 3) RGB or (H, W, 1) gray, float32 in [0, 1]."""
    alpha: NDArray[np.float32] | None = field(default=None, repr=False)
    """(H, W), float32 in [0, 1], not multiplied into the colours; None: opaque."""
    bit_depth: int = 8
    """8 or 16: the bits per channel that `to_array` and `save` produce."""
    icc: bytes | None = field(default=None, repr=False)
    """The colour profile."""
    exif: bytes | None = field(default=None, repr=False)
    """Begins with `Exif`; its orientation is 1, because the pixels are upright."""
    format: str | None = None
    """The file format it was read from: PNG, JPEG, WEBP, TIFF or BMP; None for arrays."""

    def __post_init__(self) -> None:
        """Validate once, on construction."""
        shape = self.pixels.shape
        if len(shape) != 3 or shape[2] not in (1, 3) or 0 in shape:
            raise PictureError(
                f"pixels of shape {shape} found; wanted (height, width, 3 or 1), none of them 0"
            )
        if self.alpha is not None and self.alpha.shape != shape[:2]:
            raise PictureError(
                f"alpha of shape {self.alpha.shape} found; wanted {shape[:2]} for pixels {shape}"
            )
        if self.bit_depth not in (8, 16):
            raise PictureError(f"a bit depth of {self.bit_depth} found; wanted 8 or 16")
        _check_samples("pixels", self.pixels)
        if self.alpha is not None:
            _check_samples("alpha", self.alpha)

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Pixels in a row."""
        return int(self.pixels.shape[1])

    @property
    def is_gray(self) -> bool:
        """One gray channel instead of three colours."""
        return bool(self.pixels.shape[2] == 1)

    @classmethod
    def from_array(cls, array: NDArray[Any], *, bit_depth: int | None = None) -> Picture:
        """A picture from (H, W) or (H, W, C); C is gray, gray + alpha, RGB or RGB + alpha.

        uint8 and uint16 use their whole range, floating point is in [0, 1]. The default `bit_depth`
        is that of the array, and 8 for floating point. Raises PictureError.
        """
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
            raise PictureError(
                f"an array of shape {array.shape} found; wanted (height, width) or "
                "(height, width, 1 to 4 channels), so turn (3, height, width) by transpose(1, 2, 0)"
            )
        own_depth = 16 if array.dtype.kind == "u" and array.dtype.itemsize == 2 else 8
        samples = np.atleast_3d(_to_float(array))  # (H, W, C)
        colours = samples.shape[2] - 1 + samples.shape[2] % 2
        return cls(
            pixels=samples[..., :colours],
            alpha=samples[..., colours] if samples.shape[2] > colours else None,
            bit_depth=own_depth if bit_depth is None else bit_depth,
        )

    @classmethod
    def from_pil(cls, image: Image.Image) -> Picture:
        """A picture from a Pillow image, turned upright, with its ICC profile and EXIF.

        CMYK is converted to RGB without its profile. Raises PictureError for the modes I, F and
        LAB, and if the image's file, which is read only now, is damaged.
        """
        try:
            image.load()
        except (OSError, SyntaxError, ValueError, struct.error) as error:
            raise PictureError(
                f"the image cannot be decoded ({error}); it may be damaged or cut short, so get "
                "another copy"
            ) from error
        samples = _pil_samples(image)
        notes = exif.of_image(image)
        picture = cls.from_array(exif.upright(samples, notes))
        return replace(
            picture,
            icc=None if image.mode == "CMYK" else image.info.get("icc_profile"),
            exif=exif.packed(notes, width=picture.width, height=picture.height),
            format=image.format,
        )

    def to_array(self) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Integers (H, W, C), uint8 or uint16 by `bit_depth`, rounded half up.

        C is 1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha.
        """
        samples = self.pixels
        if self.alpha is not None:
            samples = np.concatenate([samples, self.alpha[..., None]], axis=2)
        white, dtype = (65535, np.uint16) if self.bit_depth == 16 else (255, np.uint8)
        integers: NDArray[Any] = np.floor(samples * white + 0.5).astype(dtype, order="C")
        return integers  # in C order, which encoders require

    def to_pil(self) -> Image.Image:
        """A Pillow image: L, LA, RGB or RGBA of 8 bits, since Pillow has no 16-bit colour."""
        samples = replace(self, bit_depth=8).to_array()
        image = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
        metadata = {"icc_profile": self.icc, "exif": self.exif}
        image.info.update({key: value for key, value in metadata.items() if value})
        return image

    def save(self, path: str | Path, *, quality: int = 95, overwrite: bool = True) -> None:
        """Write the picture to a file, in the format of its suffix; see `diffir.images.write`."""
        from .write import write

        write(self, path, quality=quality, overwrite=overwrite)


def _check_samples(name: str, samples: NDArray[Any]) -> None:
    """Raise PictureError unless float32 in [0, 1]; `not (...)` also catches NaN."""
    if samples.dtype != np.float32:
        raise PictureError(f"{name} of type {samples.dtype} found; wanted float32")
    low, high = samples.min(), samples.max()
    if not (low >= 0 and high <= 1):
        raise PictureError(
            f"{name} from {low!s} to {high!s} found; wanted finite numbers from 0 to 1, so "
            "divide by the largest possible value and clip"
        )


def _pil_samples(image: Image.Image) -> NDArray[Any]:
    """The samples of a Pillow image: (H, W) or (H, W, C), uint8 or, for I;16, uint16."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode not in _PIL_MODES:
        raise PictureError(
            f"an image in Pillow's mode {image.mode} found; wanted gray, RGB, palette or CMYK, so "
            "convert it to RGB first"
        )
    mode = _PIL_MODES[image.mode]
    if image.has_transparency_data and not mode.endswith("A"):
        mode += "A"
    return np.asarray(image.convert(mode))


def _to_float(array: NDArray[Any]) -> NDArray[np.float32]:
    """Unsigned integers scaled to [0, 1], or floating point, as float32."""
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:  # of either byte order
        return array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    raise PictureError(
        f"an array of type {array.dtype} found; wanted uint8, uint16 or floating point in [0, 1]"
    )
