"""EXIF: the orientation of a picture, and the notes that travel with it."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import IFD, Base

if TYPE_CHECKING:
    from tifffile import TiffFile

_log = logging.getLogger(__name__)

PREFIX = b"Exif\0\0"
"""Prefix of EXIF bytes in JPEG, and here; PNG and TIFF have none."""

Samples = NDArray[Any]

_TURNS: dict[int, Callable[[Samples], Samples]] = {
    2: np.fliplr,
    3: lambda samples: np.rot90(samples, 2),
    4: np.flipud,
    5: lambda samples: samples.swapaxes(0, 1),
    6: lambda samples: np.rot90(samples, -1),
    7: lambda samples: np.rot90(samples, 2).swapaxes(0, 1),
    8: np.rot90,
}

# The first directory is TIFF's own. Up to tag 532 it describes how the pixels were stored, which is
# no longer true once they are written again, except for the tags listed here.
_LAST_STORAGE_TAG = 532
_NOTES = {
    Base.DocumentName,
    Base.ImageDescription,
    Base.Make,
    Base.Model,
    Base.XResolution,
    Base.YResolution,
    Base.ResolutionUnit,
    Base.Software,
    Base.DateTime,
    Base.Artist,
    Base.HostComputer,
}
_SUB_DIRECTORIES = (IFD.Exif, IFD.GPSInfo)
_PAYLOADS = {700, 32997, 33723, 34377, 34675, 37724}  # XMP, depth, IPTC, ICC, Photoshop's


def of_image(image: Image.Image) -> Image.Exif:
    """The EXIF of a Pillow image; empty if there is none or it is damaged."""
    return _undamaged(image.getexif)


def of_header(image: Image.Image) -> Image.Exif:
    """As `of_image`, from what was read already: for PNG, `getexif` would decode the pixels."""
    return _undamaged(partial(Image.Image.getexif, image))


def of_tiff(file: BinaryIO, tiff: TiffFile) -> Image.Exif:
    """The EXIF of the first page of a TIFF; empty if it is damaged."""

    def load() -> Image.Exif:
        loaded = Image.Exif()
        loaded.endian, loaded.bigtiff = tiff.byteorder, tiff.is_bigtiff
        loaded.load_from_fp(file, tiff.pages.first.offset)
        return loaded

    return _undamaged(load)


def _undamaged(load: Callable[[], Image.Exif]) -> Image.Exif:
    try:
        return load()
    except (SyntaxError, ValueError, LookupError, TypeError, struct.error) as error:
        _log.warning("the EXIF data is damaged and was dropped: %s", error)
        return Image.Exif()


def of_bytes(exif: bytes | None) -> Image.Exif:
    """The EXIF that `packed` wrote; empty for None."""
    loaded = Image.Exif()
    loaded.load(exif or b"")
    return loaded


def upright(samples: Samples, exif: Image.Exif) -> Samples:
    """Turn samples (H, W, ...) upright, by the orientation tag of `exif`."""
    turn = _TURNS.get(exif.get(Base.Orientation, 1))
    return samples if turn is None else np.ascontiguousarray(turn(samples))


def packed(exif: Image.Exif, *, width: int, height: int) -> bytes | None:
    """The notes as bytes that begin with `Exif`, for an upright picture; None if there are none.

    The orientation becomes 1, and the size in pixels, if noted, `width` × `height`.
    Damaged notes are dropped with a logged warning: they must not stop a restoration.
    """
    try:
        kept = notes(exif)
        if not len(kept) and Base.Orientation not in exif:
            return None
        kept[Base.Orientation] = 1
        details = kept.get(IFD.Exif, {})
        for tag, size in ((Base.ExifImageWidth, width), (Base.ExifImageHeight, height)):
            if tag in details:
                details[tag] = size
        return kept.tobytes()
    except Exception as error:  # Pillow raises anything on malformed EXIF of cameras
        _log.warning("the EXIF data is damaged and was dropped: %s", error)
        return None


def shortened(exif: bytes | None, most: int) -> bytes | None:
    """The bytes of `packed`, at most `most`: without the maker note if need be, or else None.

    Whatever is dropped is logged as a warning.
    """
    if exif is None or len(exif) <= most:
        return exif
    kept = notes(of_bytes(exif))
    kept[Base.Orientation] = 1
    if kept.get(IFD.Exif, {}).pop(Base.MakerNote, None) is not None:
        short = kept.tobytes()
        if len(short) <= most:
            _log.warning("the EXIF maker note was dropped: at most %d bytes fit", most)
            return short
    _log.warning("the EXIF data was dropped: %d bytes found, at most %d fit", len(exif), most)
    return None


def notes(exif: Image.Exif) -> Image.Exif:
    """Copy what `exif` says about the picture, but not how its pixels were stored."""
    kept = Image.Exif()
    for tag, value in exif.items():
        if tag == Base.ImageDescription and _describes_storage(value):
            continue
        if tag in _NOTES or (tag > _LAST_STORAGE_TAG and tag not in _PAYLOADS):
            kept[tag] = _faithful(value)
    for tag in _SUB_DIRECTORIES:
        if tag in exif:
            found = exif[tag]  # an offset if read from a file, a dictionary if set in memory
            found = found if isinstance(found, dict) else exif.get_ifd(tag)
            details = {key: _faithful(value) for key, value in found.items()}
            details.pop(IFD.Interop, None)
            kept[tag] = details
    return kept


def _describes_storage(description: Any) -> bool:
    """Whether tifffile, ImageJ or OME noted there how the samples of a TIFF are stored."""
    return str(description).startswith(('{"shape":', "ImageJ=")) or "<OME" in str(description)


def _faithful(value: Any) -> Any:
    """Text as the bytes it was read from: Pillow reads Latin-1, but writes '?' beyond ASCII."""
    foreign = isinstance(value, str) and not value.isascii()
    return value.encode("latin-1", errors="replace") if foreign else value
