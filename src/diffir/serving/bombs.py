"""Bombs: small files that unpack to far more, or for far longer, than their size in pixels says.

The command line opens them, for there the files are the user's own.
"""

from io import BytesIO

from fastapi import HTTPException

from diffir.images.read import guarded

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
    found = {"JPEG": of_jpeg, "TIFF": of_tiff}.get(kind, lambda _: None)(data)
    if found is not None:
        raise HTTPException(415, f"{name}: {found} found; save it anew, best as PNG")


def of_jpeg(data: bytes) -> str | None:
    """What is suspicious in a JPEG."""
    return f"more than {MOST_SCANS} scans" if data.count(b"\xff\xda") > MOST_SCANS else None


def of_tiff(data: bytes) -> str | None:
    """What is suspicious in a TIFF."""
    return guarded("TIFF", lambda: _of_tiff(data))


def _of_tiff(data: bytes) -> str | None:
    from tifffile import TiffFile

    with TiffFile(BytesIO(data)) as tiff:
        if len(tiff.pages) > MOST_PAGES:
            return f"more than {MOST_PAGES} pages"
        page = tiff.pages.first
        if page.compression not in BOUNDED:
            return f"TIFF with the compression {page.compression:d}"
        if page.is_tiled and page.tilewidth * page.tilelength * page.tiledepth > MOST_OF_TILE:
            return f"tiles of more than {MOST_OF_TILE} pixels"
    return None
