"""Header: the properties of a picture file, read without decoding its pixels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import SEEK_CUR
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from . import exif
from .read import (
    MAX_PIXELS,
    check_header,
    check_size,
    check_tiff,
    guarded,
    kind_of,
    opened,
    single_page,
    understood,
)

_GRAY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B")
_CMYK_IN_TIFF = 5
_PNG_DEPTH = 24  # where the first chunk holds the bits per sample
_ON_ITS_SIDE = 5  # from this orientation on, width and height are swapped


@dataclass(frozen=True, kw_only=True)
class Header:
    """What `read` would return, without the pixels."""

    width: int
    """Of the upright picture, like `height`."""
    height: int
    channels: int
    """1 gray or 3 colours."""
    has_alpha: bool
    bit_depth: int
    """8 or 16."""
    is_cmyk: bool
    """In the file; `read` converts it to RGB."""
    format: str


def header(
    path: Path | str, file: BinaryIO | None = None, *, max_pixels: int = MAX_PIXELS
) -> Header:
    """The header of a picture: the file at `path`, or an open file with that name.

    Raises PictureError as `read` does, except for damage after the header.
    """
    with understood(str(path)), opened(Path(path), file) as stream:
        kind = kind_of(stream)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return guarded(kind, lambda: _READERS[kind](stream, kind, max_pixels))


def _of_pillow(cls: type[ImageFile], file: BinaryIO, kind: str, max_pixels: int) -> Header:
    image = cls(file)
    check_header(image, max_pixels)
    depth = 8
    if kind == "PNG":
        depth = _png_depth(file)
        late = _late_png_exif(file)
        if late:
            image.info.setdefault("exif", late)
    turned = _is_turned(exif.of_header(image))
    return Header(
        width=image.height if turned else image.width,
        height=image.width if turned else image.height,
        channels=1 if image.mode in _GRAY_MODES else 3,
        has_alpha=image.has_transparency_data,
        bit_depth=depth,
        is_cmyk=image.mode == "CMYK",
        format=kind,
    )


def _png_depth(file: BinaryIO) -> int:
    file.seek(_PNG_DEPTH)
    return 16 if file.read(1) == b"\x10" else 8


def _late_png_exif(file: BinaryIO) -> bytes:
    """The EXIF chunk, even if it follows the pixels; empty if there is none."""
    file.seek(len(b"\x89PNG\r\n\x1a\n"))
    while len(head := file.read(8)) == 8:
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if name == b"eXIf":
            return exif.PREFIX + file.read(length)
        file.seek(length + 4, SEEK_CUR)  # and the checksum
    return b""


def _of_tiff(file: BinaryIO, kind: str, max_pixels: int) -> Header:
    from tifffile import TiffFile

    with TiffFile(file) as tiff:
        page = single_page(tiff)
        check_size(page.imagewidth, page.imagelength, max_pixels)
        colours = check_tiff(page)
        turned = _is_turned(exif.of_tiff(file, tiff))
        is_palette = page.colormap is not None
        return Header(
            width=page.imagelength if turned else page.imagewidth,
            height=page.imagewidth if turned else page.imagelength,
            channels=1 if colours == 1 and not is_palette else 3,
            has_alpha=page.samplesperpixel > colours,
            bit_depth=16 if page.bitspersample > 8 else 8,
            is_cmyk=page.photometric == _CMYK_IN_TIFF,
            format=kind,
        )


def _is_turned(notes: Image.Exif) -> bool:
    orientation = notes.get(Base.Orientation, 1)
    return isinstance(orientation, int) and _ON_ITS_SIDE <= orientation <= 8


_READERS: dict[str, Callable[[BinaryIO, str, int], Header]] = {
    "PNG": partial(_of_pillow, PngImageFile),
    "TIFF": _of_tiff,
    "JPEG": partial(_of_pillow, JpegImageFile),
    "WEBP": partial(_of_pillow, WebPImageFile),
    "BMP": partial(_of_pillow, BmpImageFile),
}
