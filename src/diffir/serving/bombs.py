"""Bombs: small files that unpack to far more, or for far longer, than their size in pixels says.

The command line opens them, for there the files are the user's own.
"""

import re
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from zlib import crc32

from fastapi import HTTPException
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from diffir.images.exif import PREFIX
from diffir.images.read import guarded

from .directories import Directories

MOST_PARTS = 2**15
"""Of a PNG's chunks or a JPEG's segments: an empty one costs a parser more than it weighs."""
MOST_SCANS = 100
"""Of a JPEG, thumbnails included: every scan, of 14 bytes, goes over the whole picture again."""
MOST_PAGES = 100
"""Of a TIFF, reduced copies included: all are read to see whether there is one picture."""
MOST_OF_TILE = 2**22
"""Pixels of a TIFF's tile, which is unpacked whole, be the picture as small as it may."""
MOST_NOTES = 10
"""Of a PNG's chunks of EXIF; programs write one, or two that say the same."""
PNG_BEGINS = b"\x89PNG\r\n\x1a\n"
# The compressions of TIFF that stop at the size that is asked for: none, LZW, deflate (both its
# numbers), PackBits, LZMA, Zstandard. The others are picture files with a size of their own.
BOUNDED = {1, 5, 8, 32946, 32773, 34925, 50000}


PROFILE = "Raw profile type exif"
"""Where ImageMagick puts EXIF in a PNG: hexadecimal, after three lines."""


def refuse_bomb(data: bytes, name: str, kind: str) -> None:
    """Raise 415 for what may be a bomb, PictureError for a damaged file."""
    looks = {"PNG": of_png, "JPEG": of_jpeg, "TIFF": of_tiff, "WEBP": of_webp}
    look = looks.get(kind, lambda _: None)
    found = guarded(kind, lambda: look(data))
    if found is not None:
        raise HTTPException(415, f"{name}: {found} found; save it anew, best as PNG")


def of_png(data: bytes) -> str | None:
    """What is suspicious in a PNG."""
    if next(islice(chunks(data), MOST_PARTS, None), None) is not None:
        return f"more than {MOST_PARTS} chunks"
    noted = [one for one in chunks(data) if one[0] == b"eXIf" or is_exif_text(*one)]
    if len(noted) > MOST_NOTES:
        return f"more than {MOST_NOTES} chunks of EXIF"
    return next(filter(None, (of_exif(exif_of_chunk(*one)) for one in noted)), None)


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The names and contents of a PNG's chunks."""
    place = len(PNG_BEGINS)
    while place + 8 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        yield data[place + 4 : place + 8], data[place + 8 : end]
        place = end + 4


def is_exif_text(name: bytes, content: bytes) -> bool:
    """Whether a chunk is a text that Pillow takes for EXIF."""
    keyword = content[: len(PROFILE) + 1].partition(b"\0")[0]
    return name in (b"tEXt", b"zTXt", b"iTXt") and keyword in (b"exif", PROFILE.encode())


def exif_of_chunk(name: bytes, content: bytes) -> bytes:
    """What Pillow would find of EXIF if a PNG had this chunk alone."""
    parts = ((b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0"), (name, content), (b"IEND", b""))
    whole = PNG_BEGINS + b"".join(
        len(content).to_bytes(4, "big") + name + content + crc32(name + content).to_bytes(4, "big")
        for name, content in parts
    )
    info = PngImageFile(BytesIO(whole)).info
    return info.get("exif") or bytes.fromhex("".join(info.get(PROFILE, "").split("\n")[3:]))


def of_exif(exif: bytes) -> str | None:
    """What is suspicious in EXIF, its pages behind the first apart: nobody reads them."""
    while exif.startswith(PREFIX):
        exif = exif[len(PREFIX) :]
    directories = Directories(exif)
    return directories.excess([directories.first()])


class WithoutExif(JpegImageFile):
    """A JPEG that is opened without a look into its EXIF."""

    def getexif(self) -> Image.Exif:
        """Nothing."""
        return Image.Exif()


def of_jpeg(data: bytes) -> str | None:
    """What is suspicious in a JPEG."""
    if data.count(b"\xff\xda") > MOST_SCANS:
        return f"more than {MOST_SCANS} scans"
    # All that begin a segment, and fill bytes; restarts are left out, which stand among pixels.
    markers = re.finditer(rb"\xff[\xc0-\xcf\xda-\xff]", data)
    if next(islice(markers, MOST_PARTS, None), None) is not None:
        return f"more than {MOST_PARTS} segments"
    return of_exif(WithoutExif(BytesIO(data)).info.get("exif", b""))


def of_webp(data: bytes) -> str | None:
    """What is suspicious in a WebP."""
    return of_exif(WebPImageFile(BytesIO(data)).info.get("exif", b""))


def of_tiff(data: bytes) -> str | None:
    """What is suspicious in a TIFF."""
    from tifffile import TiffFile

    directories = Directories(data, is_big=b"+" in data[2:4])
    pages = list(islice(directories.pages(), MOST_PAGES + 1))
    if len(pages) > MOST_PAGES:
        return f"more than {MOST_PAGES} pages"
    if (found := directories.excess(pages)) is not None:
        return found
    with TiffFile(BytesIO(data)) as tiff:
        page = tiff.pages.first
        if page.compression not in BOUNDED:
            return f"TIFF with the compression {page.compression:d}"
        if page.is_tiled and page.tilewidth * page.tilelength * page.tiledepth > MOST_OF_TILE:
            return f"tiles of more than {MOST_OF_TILE} pixels"
    return None
