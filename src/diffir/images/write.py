"""Write a picture file: same bits, same channels, same metadata, atomically."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base

from diffir.errors import PictureError
from diffir.files import write_whole

from . import exif
from .picture import Picture

_log = logging.getLogger(__name__)


def write(picture: Picture, path: str | Path, *, quality: int = 95, overwrite: bool = True) -> None:
    """Write a picture to a file, in the format of its suffix; missing folders are created.

    PNG and TIFF keep everything. JPEG and BMP have no alpha: PictureError, unless it is 1
    everywhere. JPEG, WebP and BMP have 8 bits: 16 are rounded to 8 with a logged warning. WebP
    has no gray: it becomes RGB. BMP has no profile and no EXIF: both are dropped. JPEG holds
    64 KB of EXIF: if there is more, the maker note is dropped, or else all of it. An RGB profile
    is dropped for gray pictures, and a gray one for RGB. Both with a logged warning.
    `quality`, 1 to 100, applies to JPEG and WebP; at 100, WebP is lossless.
    The file is written atomically. Raises PictureError.
    """
    path = Path(path)
    try:
        if not overwrite and path.exists():
            raise PictureError("the file exists; allow overwriting it or choose another name")
        write_whole(encode(picture, path.suffix, quality=quality), path)
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        raise PictureError(
            f"{path}: cannot be written ({error}); "
            "check the path, its permissions and the free space"
        ) from error


def encode(picture: Picture, suffix: str, *, quality: int = 95) -> bytes:
    """As `write`, but returns the bytes; `suffix` is one of `SUFFIXES`."""
    encoder = _encoder(suffix)
    if not 1 <= quality <= 100:
        raise PictureError(f"a quality of {quality} found; wanted 1 to 100")
    require_fit(suffix, picture.width, picture.height, picture.alpha)
    try:
        return encoder(picture, quality)
    except (PictureError, MemoryError):
        raise
    except Exception as error:  # each codec raises its own errors
        raise PictureError(f"cannot be encoded ({error}); try .png") from error


def require_fit(suffix: str, width: int, height: int, alpha: NDArray[np.float32] | None) -> None:
    """Raise PictureError for a size or alpha that the format of a known suffix can't hold."""
    limits = _LIMITS.get(suffix.lower())
    if limits is None:
        return
    if not limits.has_alpha and alpha is not None and alpha.min() < 1:
        raise PictureError(
            f"{limits.format} cannot hold its transparency; write .png, .webp or .tif"
        )
    if limits.side is not None and max(width, height) > limits.side:
        raise PictureError(
            f"{limits.format} holds at most {limits.side} pixels a side, {width} x {height} found; "
            "write .png or .tif"
        )


def _png(picture: Picture, _quality: int) -> bytes:
    """By libpng, since Pillow has no 16-bit colour; metadata is inserted after the header."""
    import imagecodecs

    encoded = bytes(imagecodecs.png_encode(picture.to_array()))
    header = 8 + 12 + 13  # signature, frame of the first chunk, its content
    chunks = b""
    icc = _profile(picture)
    if icc:
        chunks += _png_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc))
    if picture.exif:
        chunks += _png_chunk(b"eXIf", picture.exif.removeprefix(exif.PREFIX))
    return encoded[:header] + chunks + encoded[header:]


def _png_chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def _tiff(picture: Picture, _quality: int) -> bytes:
    """EXIF is a TIFF without pixels, so write the EXIF, followed by one deflated strip."""
    samples = picture.to_array()  # (H, W, C)
    height, width, channels = samples.shape
    samples[:, 1:] -= samples[:, :-1].copy()  # the horizontal predictor; wraps around
    strip = zlib.compress(samples.astype(samples.dtype.newbyteorder("<")).tobytes())
    header = exif.notes(exif.of_bytes(picture.exif))
    header.endian = "<"
    header.update(
        {
            Base.ImageWidth: width,
            Base.ImageLength: height,
            Base.BitsPerSample: (picture.bit_depth,) * channels,
            Base.Compression: 8,  # deflate
            Base.PhotometricInterpretation: 1 if picture.is_gray else 2,
            Base.StripOffsets: 0,  # Pillow adds the length of the header
            Base.SamplesPerPixel: channels,
            Base.RowsPerStrip: height,
            Base.StripByteCounts: len(strip),
            Base.PlanarConfiguration: 1,
            Base.Predictor: 2,
        }
    )
    if picture.alpha is not None:
        header[Base.ExtraSamples] = 2  # alpha, not multiplied into the colours
    icc = _profile(picture)
    if icc:
        header[Base.InterColorProfile] = icc
    return header.tobytes().removeprefix(exif.PREFIX) + strip


def _jpeg(picture: Picture, quality: int) -> bytes:
    """Without chroma subsampling, so that the colours of restored edges don't bleed."""
    image = _eight_bits(replace(picture, alpha=None), "JPEG").to_pil()
    metadata = _metadata(replace(picture, exif=exif.shortened(picture.exif, _JPEG_EXIF)))
    return _saved(image, "JPEG", quality=quality, subsampling=0, **metadata)


def _webp(picture: Picture, quality: int) -> bytes:
    metadata = _metadata(picture)
    if picture.is_gray:
        metadata["icc_profile"] = b""  # a gray profile would be wrong on RGB
    image = _eight_bits(picture, "WebP").to_pil()
    lossless = quality == 100  # then exact: also keep colours under full transparency
    return _saved(image, "WEBP", quality=quality, lossless=lossless, exact=lossless, **metadata)


def _bmp(picture: Picture, _quality: int) -> bytes:
    return _saved(_eight_bits(replace(picture, alpha=None), "BMP").to_pil(), "BMP")


def _metadata(picture: Picture) -> dict[str, bytes]:
    """Pillow's arguments; empty if there is nothing to keep."""
    return {"icc_profile": _profile(picture) or b"", "exif": picture.exif or b""}


def _profile(picture: Picture) -> bytes | None:
    """The profile; None if it is for other channels, which PNG forbids and viewers mishandle."""
    space = (picture.icc or b"")[16:20]
    if space in (b"RGB ", b"GRAY", b"CMYK") and space != (b"GRAY" if picture.is_gray else b"RGB "):
        name, kind = space.decode().strip(), "gray" if picture.is_gray else "RGB"
        _log.warning("the colour profile was dropped: it is for %s, the picture is %s", name, kind)
        return None
    return picture.icc


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _eight_bits(picture: Picture, kind: str) -> Picture:
    if picture.bit_depth == 16:
        _log.warning("16 bits rounded to 8, the most %s holds; PNG and TIFF keep 16", kind)
    return replace(picture, bit_depth=8)


Encoder = Callable[[Picture, int], bytes]

_ENCODERS: dict[str, Encoder] = {
    ".png": _png,
    ".jpg": _jpeg,
    ".jpeg": _jpeg,
    ".jfif": _jpeg,
    ".webp": _webp,
    ".tif": _tiff,
    ".tiff": _tiff,
    ".bmp": _bmp,
}


@dataclass(frozen=True, kw_only=True)
class _Limits:
    """The limits of a format, whatever the encoder."""

    format: str
    has_alpha: bool = False
    side: int | None = None
    """Maximum pixels per side."""


_JPEG_LIMITS = _Limits(format="JPEG", side=65_500)  # libjpeg's; the format's own are 65 535
_LIMITS = {
    ".jpg": _JPEG_LIMITS,
    ".jpeg": _JPEG_LIMITS,
    ".jfif": _JPEG_LIMITS,
    ".webp": _Limits(format="WebP", has_alpha=True, side=16_383),
    ".bmp": _Limits(format="BMP"),
}
_JPEG_EXIF = 65_533
"""Maximum bytes of EXIF: a segment's, minus its length field."""

SUFFIXES = tuple(_ENCODERS)
"""The suffixes that `write` supports, in lower case; it accepts any case."""


def _encoder(suffix: str) -> Encoder:
    try:
        return _ENCODERS[suffix.lower()]
    except KeyError:
        known = ", ".join(SUFFIXES)
        raise PictureError(f"suffix '{suffix}' found; wanted one of {known}") from None
