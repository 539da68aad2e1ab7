"""Decompression bombs: small files that take far more memory or time than their pixels justify.

Only the server refuses them: on the command line, the files are the user's own.
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
"""Chunks of a PNG or segments of a JPEG: parsing an empty one costs more than its bytes."""
MOST_SCANS = 100
"""Of a JPEG, thumbnails included: a scan of 14 bytes makes a pass over the whole picture."""
MOST_PAGES = 100
"""Of a TIFF, reduced copies included: all are read to check that there is only one picture."""
MOST_OF_TILE = 2**22
"""Pixels of a TIFF's tile, which is unpacked whole, however small the picture."""
MOST_NOTES = 10
"""EXIF chunks of a PNG; programs write one, or two with the same content."""
PNG_BEGINS = b"\x89PNG\r\n\x1a\n"
# TIFF compressions whose decoders stop at the requested size: none, LZW, deflate (two numbers),
# PackBits, LZMA, Zstandard. The others are embedded picture files with a size of their own.
BOUNDED = {1, 5, 8, 32946, 32773, 34925, 50000}


PROFILE = "Raw profile type exif"
"""Where ImageMagick puts EXIF in a PNG: as hexadecimal digits after three lines."""


def refuse_bomb(data: bytes, name: str, kind: str) -> None:
    """Raise 415 for a suspected bomb, PictureError for a damaged file."""
    looks = {"PNG": of_png, "JPEG": of_jpeg, "TIFF": of_tiff, "WEBP": of_webp}
    look = looks.get(kind, lambda _: None)
    found = guarded(kind, lambda: look(data))
    if found is not None:
        raise HTTPException(415, f"{name}: {found} found; save it again, preferably as PNG")


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
    """Whether a chunk is text that Pillow parses as EXIF."""
    keyword = content[: len(PROFILE) + 1].partition(b"\0")[0]
    return name in (b"tEXt", b"zTXt", b"iTXt") and keyword in (b"exif", PROFILE.encode())


def exif_of_chunk(name: bytes, content: bytes) -> bytes:
    """The EXIF that Pillow would find in a PNG with only this chunk."""
    parts = ((b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0"), (name, content), (b"IEND", b""))
    whole = PNG_BEGINS + b"".join(
        len(content).to_bytes(4, "big") + name + content + crc32(name + content).to_bytes(4, "big")
        for name, content in parts
    )
    info = PngImageFile(BytesIO(whole)).info
    return info.get("exif") or bytes.fromhex("".join(info.get(PROFILE, "").split("\n")[3:]))


def of_exif(exif: bytes) -> str | None:
    """What is suspicious in EXIF, ignoring pages after the first, which are never read."""
    while exif.startswith(PREFIX):
        exif = exif[len(PREFIX) :]
    directories = Directories(exif)
    return directories.excess([directories.first()])


class WithoutExif(JpegImageFile):
    """A JPEG opened without parsing its EXIF."""

    def getexif(self) -> Image.Exif:
        """Empty EXIF."""
        return Image.Exif()


def of_jpeg(data: bytes) -> str | None:
    """What is suspicious in a JPEG."""
    if data.count(b"\xff\xda") > MOST_SCANS:
        return f"more than {MOST_SCANS} scans"
    # All that begin a segment, and fill bytes, but no restart markers, which occur among pixels.
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
