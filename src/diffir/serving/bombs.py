"""Bombs: small files that unpack to far more, or for far longer, than their size in pixels says.

The command line opens them, for there the files are the user's own.
"""

import re
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING

from fastapi import HTTPException

from diffir.images.read import guarded

if TYPE_CHECKING:
    from tifffile import TiffFile

MOST_PARTS = 2**15
"""Of a PNG's chunks or a JPEG's segments: an empty one costs a parser more than it weighs."""
MOST_SCANS = 100
"""Of a JPEG, thumbnails included: every scan, of 14 bytes, goes over the whole picture again."""
MOST_PAGES = 100
"""Of a TIFF, reduced copies included: all are read to see whether there is one picture."""
MOST_OF_TILE = 2**22
"""Pixels of a TIFF's tile, which is unpacked whole, be the picture as small as it may."""
# The compressions of TIFF that stop at the size that is asked for: none, LZW, deflate (both its
# numbers), PackBits, LZMA, Zstandard. The others are picture files with a size of their own.
BOUNDED = {1, 5, 8, 32946, 32773, 34925, 50000}


def refuse_bomb(data: bytes, name: str, kind: str) -> None:
    """Raise 415 for what may be a bomb, PictureError for a damaged file."""
    found = {"PNG": of_png, "JPEG": of_jpeg, "TIFF": of_tiff}.get(kind, lambda _: None)(data)
    if found is not None:
        raise HTTPException(415, f"{name}: {found} found; save it anew, best as PNG")


def of_png(data: bytes) -> str | None:
    """What is suspicious in a PNG."""
    place, chunks = 8, 0
    while place + 8 <= len(data):
        place += 12 + int.from_bytes(data[place : place + 4], "big")
        chunks += 1
        if chunks > MOST_PARTS:
            return f"more than {MOST_PARTS} chunks"
    return None


def of_jpeg(data: bytes) -> str | None:
    """What is suspicious in a JPEG."""
    if data.count(b"\xff\xda") > MOST_SCANS:
        return f"more than {MOST_SCANS} scans"
    # All that begin a segment, and fill bytes; restarts are left out, which stand among pixels.
    markers = re.finditer(rb"\xff[\xc0-\xcf\xda-\xff]", data)
    if next(islice(markers, MOST_PARTS, None), None) is not None:
        return f"more than {MOST_PARTS} segments"
    return None


def of_tiff(data: bytes) -> str | None:
    """What is suspicious in a TIFF."""
    return guarded("TIFF", lambda: _of_tiff(data))


def has_page(tiff: "TiffFile", index: int) -> bool:
    """Whether there is a page of an index; its length would walk through all that follow."""
    try:
        tiff.pages[index]
    except IndexError:
        return False
    return True


def _of_tiff(data: bytes) -> str | None:
    from tifffile import TiffFile

    with TiffFile(BytesIO(data)) as tiff:
        if has_page(tiff, MOST_PAGES):
            return f"more than {MOST_PAGES} pages"
        page = tiff.pages.first
        if page.compression not in BOUNDED:
            return f"TIFF with the compression {page.compression:d}"
        if page.is_tiled and page.tilewidth * page.tilelength * page.tiledepth > MOST_OF_TILE:
            return f"tiles of more than {MOST_OF_TILE} pixels"
    return None
