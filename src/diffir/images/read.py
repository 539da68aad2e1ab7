"""Read a picture file: PNG, JPEG, WebP, TIFF or BMP, with 8 or 16 bits."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from diffir.errors import PictureError

from . import exif
from .picture import Picture

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

Result = TypeVar("Result")
Samples = NDArray[np.float32]

MAX_PIXELS = 200_000_000
"""The default limit of pixels that `read` decodes: 2.4 GB as float RGB."""

_WANTED = "wanted PNG, JPEG, WebP, TIFF or BMP, so convert it first"

# TIFF's numbers for photometric kinds, compressions, extra channels and subfile types
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_TIFF_CHANNELS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4}
_JPEG_COMPRESSIONS = (6, 7)
_ASSOCIATED = 1
_REDUCED_OR_MASK = 0b101
_ICC_TAG = 34675

# (offset, bytes at it, type)
_SIGNATURES = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (8, b"WEBP", "WEBP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"GIF8", "GIF"),
    (4, b"ftyp", "HEIC, AVIF or video"),
    (0, b"%PDF", "PDF"),
)


class PictureSizeError(PictureError):
    """More pixels than the limit allows."""


def read(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a picture, upright, with its alpha, bit depth, ICC profile and EXIF.

    The type is detected by content, not by name. CMYK becomes RGB without its profile; palettes and
    depths below 8 bits become 8 bits; 9 bits and more, and floating point, become 16. Raises
    PictureError for files that are missing, damaged, animated, multi-page or of another type, and,
    before decoding, for more than `max_pixels` pixels.
    """
    with understood(str(path)), opened(Path(path)) as file:
        return _decode(file, max_pixels)


def decode(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """As `read`, from the bytes of a file; errors mention `name` instead of a path."""
    with understood(name):
        return _decode(BytesIO(data), max_pixels)


@contextmanager
def understood(name: str) -> Iterator[None]:
    """Prefix errors with the name of the file."""
    try:
        yield
    except PictureError as error:
        raise type(error)(f"{name}: {error}") from error


def opened(path: Path, file: BinaryIO | None = None) -> AbstractContextManager[BinaryIO]:
    """The file at the path, or an open file, which stays open. Raises PictureError."""
    if file is not None:
        return nullcontext(file)
    try:
        if path.is_dir():
            raise PictureError("a folder found; wanted a picture, so give one of the files in it")
        stream = path.open("rb")
        if stream.seekable():
            return stream
        with stream:  # a pipe: decoders need to seek
            return BytesIO(stream.read())
    except FileNotFoundError:
        raise PictureError("no such file; check the path") from None
    except (OSError, ValueError) as error:
        raise PictureError(
            f"cannot be opened ({error}); check the path and its permissions"
        ) from error


def _decode(file: BinaryIO, max_pixels: int) -> Picture:
    kind = kind_of(file)
    with warnings.catch_warnings():  # what matters becomes a PictureError
        warnings.simplefilter("ignore")
        return guarded(kind, lambda: _READERS[kind](file, max_pixels))


def guarded(kind: str, work: Callable[[], Result]) -> Result:
    """The result of a decoder; anything it raises becomes a PictureError."""
    try:
        return work()
    except (PictureError, MemoryError):
        raise
    except Exception as error:  # damaged files make decoders raise anything
        raise PictureError(
            f"the {kind} file cannot be decoded ({error}); it may be damaged or cut short, so get "
            "another copy"
        ) from error


def kind_of(file: BinaryIO) -> str:
    """The type, by the first bytes of a file; PictureError if there is no reader for it."""
    try:
        head = file.read(16)
        file.seek(0)
    except OSError as error:  # a failing disk, or a file that can't seek
        raise PictureError(f"cannot be read ({error}); get another copy") from error
    if not head:
        raise PictureError("an empty file found; wanted a picture, so get another copy")
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            if kind not in _READERS:
                raise PictureError(f"a {kind} file found; {_WANTED}")
            return kind
    raise PictureError(f"not a picture; {_WANTED}")


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise PictureSizeError for more than `max_pixels`."""
    if width * height > max_pixels:
        raise PictureSizeError(
            f"{width} x {height} pixels found; at most {max_pixels} are decoded, so raise "
            "--max-pixels (max_pixels=) if you trust the file"
        )


def check_header(image: ImageFile, max_pixels: int = MAX_PIXELS) -> None:
    """Raise PictureError for an image that is too large or animated.

    Pillow's own limit is in `Image.open`, not used here; for WebP, from Pillow 13 on, it is in the
    file class as well, so WebP stops at 179 megapixels whatever `max_pixels` is.
    """
    check_size(image.width, image.height, max_pixels)
    if getattr(image, "is_animated", False):
        raise PictureError("an animation found; wanted a single picture, so extract its frames")


def _read_pillow(kind: type[ImageFile], file: BinaryIO, max_pixels: int) -> Picture:
    image = kind(file)
    check_header(image, max_pixels)
    image.load()  # here, where errors are reported as those of the file
    return Picture.from_pil(image)


def _read_png(file: BinaryIO, max_pixels: int) -> Picture:
    """Samples by libpng, which reads 16 bits and all kinds of transparency; metadata by Pillow."""
    import imagecodecs

    image = PngImageFile(file)
    check_header(image, max_pixels)
    notes = exif.of_image(image)
    file.seek(0)
    samples = imagecodecs.png_decode(file.read())
    picture = Picture.from_array(exif.upright(samples, notes))
    return _with_metadata(picture, notes, image.info.get("icc_profile"), "PNG")


def _read_tiff(file: BinaryIO, max_pixels: int) -> Picture:
    """By tifffile, which reads 16 bits, alpha, and all layouts and compressions."""
    from tifffile import TiffFile

    with TiffFile(file) as tiff:
        page = single_page(tiff)
        check_size(page.imagewidth, page.imagelength, max_pixels)
        samples = _tiff_samples(page)
        notes = exif.of_tiff(file, tiff)
        depth = 16 if page.bitspersample > 8 else 8
        picture = Picture.from_array(exif.upright(samples, notes), bit_depth=depth)
        icc = None if page.photometric == _CMYK else page.tags.valueof(_ICC_TAG)
        return _with_metadata(picture, notes, icc, "TIFF")


def single_page(tiff: TiffFile) -> TiffPage:
    """The only page, apart from reduced copies and masks; PictureError if there are more."""
    if any(not other.aspage().subfiletype & _REDUCED_OR_MASK for other in tiff.pages[1:]):
        raise PictureError("several pages found; wanted one, so split the file")
    return tiff.pages.first


def check_tiff(page: TiffPage) -> int:
    """The number of colour channels, without alpha; PictureError if unsupported."""
    colours = _TIFF_CHANNELS.get(page.photometric)
    if page.photometric == _YCBCR and page.compression in _JPEG_COMPRESSIONS:
        colours = 3  # tifffile's decoder gives RGB
    if not colours or page.samplesperpixel - colours not in (0, 1) or page.imagedepth > 1:
        kind = getattr(page.photometric, "name", page.photometric)
        raise PictureError(
            f"{page.samplesperpixel} channels of {kind} found; wanted gray, RGB, CMYK or palette, "
            "and at most one alpha, so convert it first"
        )
    widest = {"b": 32, "u": 32, "f": 64}
    if page.dtype is None or page.bitspersample > widest.get(page.dtype.kind, 0):
        raise PictureError(
            f"samples of type {page.dtype} found; wanted unsigned integers of at most 32 bits or "
            "floating point, so convert it first"
        )
    return colours


def _tiff_samples(page: TiffPage) -> Samples:
    """Gray or RGB, plus alpha if there is one: float32 (H, W, C) in [0, 1]."""
    colours = check_tiff(page)
    stored = page.asarray()
    stored = np.atleast_3d(np.moveaxis(stored, 0, 2) if page.axes == "SYX" else stored)
    samples, alpha = stored[..., :colours], _unit(stored[..., colours:], page.bitspersample)
    if page.photometric == _PALETTE and page.colormap is not None:
        # Writers scale 8 bits to 16 by 256 or by 257; the upper 8 bits are the same.
        samples = _unit(page.colormap.T[samples[..., 0]] >> 8, 8)
    else:
        samples = _unit(samples, page.bitspersample)
    if page.photometric == _WHITE_IS_ZERO:
        samples = 1 - samples
    if page.photometric == _CMYK:
        samples = (1 - samples[..., :3]) * (1 - samples[..., 3:])
    if page.extrasamples == (_ASSOCIATED,):
        samples = np.minimum(samples / np.where(alpha > 0, alpha, 1), 1)
    return np.concatenate([samples, alpha], axis=2)


def _unit(samples: NDArray[Any], bits: int) -> Samples:
    """Unsigned integers of `bits` bits, or floating point, as float32 with white = 1."""
    white = 1.0 if samples.dtype.kind == "f" else 2.0**bits - 1
    return samples.astype(np.float32) / np.float32(white)


def _with_metadata(picture: Picture, notes: Image.Exif, icc: bytes | None, kind: str) -> Picture:
    """The picture with the metadata of its file; `notes` as they were read."""
    packed = exif.packed(notes, width=picture.width, height=picture.height)
    return replace(picture, icc=icc, exif=packed, format=kind)


_READERS: dict[str, Callable[[BinaryIO, int], Picture]] = {
    "PNG": _read_png,
    "TIFF": _read_tiff,
    "JPEG": partial(_read_pillow, JpegImageFile),
    "WEBP": partial(_read_pillow, WebPImageFile),
    "BMP": partial(_read_pillow, BmpImageFile),
}
