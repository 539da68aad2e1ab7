"""Small files that would take gigabytes or hours are refused at the door."""

import io
import struct
import tracemalloc
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from fastapi import HTTPException
from PIL import Image
from server import PHOTO, detail, file_of, post, served

from diffir.serving.limits import examine

PIXELS = np.zeros((2000, 2000), np.uint8)
CODECS = {
    7: imagecodecs.jpeg8_encode,
    34712: imagecodecs.jpeg2k_encode,
    34887: imagecodecs.lerc_encode,
    34933: imagecodecs.png_encode,
    50002: imagecodecs.jpegxl_encode,
}
TINY = {256: 8, 257: 8, 258: 8, 262: 1, 277: 1}  # 8 × 8, 8 bits, gray


def tiff(tags: dict[int, int], content: bytes, pages: int = 1) -> bytes:
    """A little-endian TIFF, its content behind the first 8 bytes, all tags of 32 bits."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    where, length = 8 + len(content), 2 + len(entries) + 4
    out = b"II*\0" + struct.pack("<I", where) + content
    for page in range(1, pages + 1):
        following = 0 if page == pages else where + page * length
        out += struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    return out


def strip(compression: int, content: bytes, **options: int) -> bytes:
    place = {259: compression, 273: 8, 278: 8, 279: len(content)}
    return tiff({**TINY, **place}, content, **options)


def tiles(side: int, content: bytes) -> bytes:
    place = {259: 8, 322: side, 323: side, 324: 8, 325: len(content)}
    return tiff({**TINY, **place}, content)


def jpeg(scans: int) -> bytes:
    """A progressive JPEG, its last scan repeated."""
    whole = file_of(PIXELS[:64, :64], "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * scans + whole[-2:]


def png(chunks: int) -> bytes:
    """A PNG with many empty chunks before its pixels."""
    whole = file_of(PIXELS[:8, :8], "PNG")
    empty = struct.pack(">I", 0) + b"abCd" + struct.pack(">I", zlib.crc32(b"abCd"))
    return whole[:33] + empty * chunks + whole[33:]


def commented(filling: bytes, count: int) -> bytes:
    """A JPEG with empty comments, or whatever, before its pixels."""
    whole = file_of(PIXELS[:8, :8], "JPEG")
    return whole[:2] + filling * count + whole[2:]


BOMBS = {
    **{f"compression {n}": strip(n, bytes(encode(PIXELS))) for n, encode in CODECS.items()},
    "tiles of more": tiles(2**15, zlib.compress(bytes(2**20))),
    "more than 100 scans": jpeg(101),
    "more than 100 pages": strip(1, bytes(64), pages=101),
    "chunks": png(40_000),
    "segments": commented(b"\xff\xfe\0\2", 40_000),
    "more than 32768 segments": commented(b"\xff\xff", 40_000),
}
FINE = {
    "plain": strip(1, bytes(64)),
    "deflate": strip(8, zlib.compress(bytes(64))),
    "tiled": tiles(256, zlib.compress(bytes(2**16))),
    "progressive": file_of(PHOTO, "JPEG", progressive=True),
    "some chunks": png(1000),
    "some comments": commented(b"\xff\xfe\0\2", 1000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_at_the_door_in_little_memory(name):
    tracemalloc.start()
    try:
        with pytest.raises(HTTPException) as caught:
            examine(BOMBS[name], "the picture", 10_000)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(BOMBS[name]) + 2**20
    finally:
        tracemalloc.stop()
    assert caught.value.status_code == 415
    assert name in caught.value.detail


@pytest.mark.parametrize("name", FINE)
def test_its_peaceful_neighbours_are_let_in(name):
    assert examine(FINE[name], "the picture", 10_000).width in (8, 32)


def test_a_stream_longer_than_its_strip_is_an_error_and_not_unpacked():
    long = strip(8, zlib.compress(bytes(2**26)))
    with served() as client:
        assert "cannot be decoded" in detail(post(client, long), 422)


def test_what_tifffile_writes_is_let_in():
    for compression in (None, "zlib", "lzw", "zstd", "packbits"):
        for tile in (None, (16, 16)):
            buffer = io.BytesIO()
            tifffile.imwrite(buffer, PHOTO, compression=compression, tile=tile, photometric="rgb")
            assert examine(buffer.getvalue(), "the picture", 10_000).width == 32


def test_a_damaged_tiff_is_told_with_its_name():
    with pytest.raises(HTTPException) as caught:
        examine(b"II*\0" + bytes(20), "the mask", 10_000)
    assert caught.value.status_code == 422
    assert caught.value.detail.startswith("the mask: the TIFF file cannot be decoded")


def test_pillow_holds_what_it_says_of_text_in_png():
    image = Image.fromarray(PHOTO)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    content = b"a\0\0" + zlib.compress(bytes(2**27))
    text = struct.pack(">I", len(content)) + b"zTXt" + content
    text += struct.pack(">I", zlib.crc32(b"zTXt" + content))
    bomb = buffer.getvalue()[:33] + text + buffer.getvalue()[33:]
    with pytest.raises(HTTPException) as caught:
        examine(bomb, "the picture", 10_000)
    assert caught.value.status_code == 422
