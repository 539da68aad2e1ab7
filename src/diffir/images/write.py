"""Write a picture file: same bits, same channels, same metadata, and never half a file."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.ExifTags import Base

from diffir.errors import PictureError
from diffir.files import write_whole

from . import exif
from .picture import Picture

_log = logging.getLogger(__name__)


def write(picture: Picture, path: str | Path, *, quality: int = 95, overwrite: bool = True) -> None:
    """Write a picture to a file whose suffix names the format; folders are made on the way.

    PNG and TIFF keep everything. JPEG and BMP hold no alpha: PictureError, unless it is 1
    everywhere. JPEG, WebP and BMP hold 8 bits: 16 are rounded to 8 with a logged warning. WebP
    holds no gray: it becomes RGB. BMP holds no profile and no EXIF: both are left out.
    `quality`, 1 to 100, is that of JPEG and WebP; at 100, WebP is lossless.
    The file appears whole or not at all. Raises PictureError.
    """
    path = Path(path)
    try:
        if path.exists() and not overwrite:
            raise PictureError("the file exists; allow overwriting it or choose another name")
        _store(encode(picture, path.suffix, quality=quality), path)
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from error


def encode(picture: Picture, suffix: str, *, quality: int = 95) -> bytes:
    """As `write`, to the bytes of the file that would have the suffix, one of `SUFFIXES`."""
    encoder = _encoder(suffix)
    if not 1 <= quality <= 100:
        raise PictureError(f"a quality of {quality} found; wanted 1 to 100")
    try:
        return encoder(picture, quality)
    except (PictureError, MemoryError):
        raise
    except Exception as error:  # each codec raises its own
        raise PictureError(f"cannot be encoded ({error}); try .png") from error


def _store(data: bytes, path: Path) -> None:
    try:
        write_whole(data, path)
    except (OSError, ValueError) as error:
        raise PictureError(f"cannot be written ({error}); check path, rights, space") from error


def _png(picture: Picture, _quality: int) -> bytes:
    """By libpng, since Pillow holds no 16-bit colour; the metadata goes in behind the header."""
    import imagecodecs

    encoded = bytes(imagecodecs.png_encode(picture.to_array()))
    header = 8 + 12 + 13  # signature, frame of the first chunk, its content
    chunks = b""
    if picture.icc:
        chunks += _png_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.icc))
    if picture.exif:
        chunks += _png_chunk(b"eXIf", picture.exif.removeprefix(exif.PREFIX))
    return encoded[:header] + chunks + encoded[header:]


def _png_chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def _tiff(picture: Picture, _quality: int) -> bytes:
    """EXIF is a TIFF file without pixels, so ours is the EXIF and one deflated strip behind it."""
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
    if picture.icc:
        header[Base.InterColorProfile] = picture.icc
    return header.tobytes().removeprefix(exif.PREFIX) + strip


def _jpeg(picture: Picture, quality: int) -> bytes:
    """Colours at full resolution, for a restored edge must not bleed."""
    image = _without_alpha(picture, "JPEG").to_pil()
    return _saved(image, "JPEG", quality=quality, subsampling=0, **_metadata(picture))


def _webp(picture: Picture, quality: int) -> bytes:
    metadata = _metadata(picture)
    if picture.is_gray:
        metadata["icc_profile"] = b""  # a gray profile would be wrong on RGB
    image = _eight_bits(picture, "WebP").to_pil()
    return _saved(image, "WEBP", quality=quality, lossless=quality == 100, **metadata)


def _bmp(picture: Picture, _quality: int) -> bytes:
    return _saved(_without_alpha(picture, "BMP").to_pil(), "BMP")


def _metadata(picture: Picture) -> dict[str, bytes]:
    """Pillow's arguments, empty where there is nothing to keep."""
    return {"icc_profile": picture.icc or b"", "exif": picture.exif or b""}


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _eight_bits(picture: Picture, kind: str) -> Picture:
    if picture.bit_depth == 16:
        _log.warning("16 bits rounded to 8, for %s holds no more; PNG and TIFF keep them", kind)
    return replace(picture, bit_depth=8)


def _without_alpha(picture: Picture, kind: str) -> Picture:
    """The picture for a format that holds 8 bits and no alpha."""
    if picture.alpha is not None and picture.alpha.min() < 1:
        raise PictureError(f"{kind} cannot hold its transparency; write .png, .webp or .tif")
    return _eight_bits(replace(picture, alpha=None), kind)


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
SUFFIXES = tuple(_ENCODERS)
"""The file name endings that `write` knows, in lower case; it takes any case."""


def _encoder(suffix: str) -> Encoder:
    try:
        return _ENCODERS[suffix.lower()]
    except KeyError:
        known = ", ".join(SUFFIXES)
        raise PictureError(f"the suffix '{suffix}' found; wanted one of {known}") from None
