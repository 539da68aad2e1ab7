"""Small files that would take gigabytes or hours are refused at the door."""

import base64
import io
import json
import struct
import subprocess
import sys
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


def chunk(name: bytes, content: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def png(before: bytes, behind: bytes = b"") -> bytes:
    """A PNG with chunks before its pixels and behind them."""
    whole = file_of(PIXELS[:8, :8], "PNG")
    return whole[:33] + before + whole[33:-12] + behind + whole[-12:]


def commented(filling: bytes, count: int) -> bytes:
    """A JPEG with empty comments, or whatever, before its pixels."""
    whole = file_of(PIXELS[:8, :8], "JPEG")
    return whole[:2] + filling * count + whole[2:]


def notes(count: int, *, each: int = 50_000, kind: int = 4, below: int | None = None) -> bytes:
    """EXIF whose every entry means the same numbers, in the directory that a tag points at."""
    tags = b"".join(struct.pack("<HHII", 1000 + n, kind, each, 32) for n in range(count))
    directory = struct.pack("<H", count) + tags + bytes(4)
    if below is not None:  # which ends where the other begins
        there = 8 + 18
        first = struct.pack("<HHHII", 1, below, 4, 1, there) + bytes(4)
        directory = first + directory
    return b"II*\0" + struct.pack("<I", 8) + (directory + bytes(4 * each))


def raw_profile(exif: bytes) -> bytes:
    """A compressed text of a PNG, as ImageMagick makes it."""
    text = b"\nexif\n  1\n" + exif.hex().encode()
    return b"Raw profile type exif\0\0" + zlib.compress(text)


def with_segments(exif: bytes) -> bytes:
    """A JPEG with EXIF in as many segments as it takes."""
    parts = [b"Exif\0\0" + exif[at : at + 65_000] for at in range(0, len(exif), 65_000)]
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(one) + 2) + one for one in parts)
    whole = file_of(PIXELS[:8, :8], "JPEG")
    return whole[:2] + segments + whole[2:]


def wide(pages: int, strips: int) -> bytes:
    """A TIFF whose pages share one long list of strips, and are reduced copies."""
    long = [(254, 4, 1, 1), (273, 3, strips, 16), (279, 3, strips, 16)]
    return tiff_of(long, 2 * strips, pages)


def tiff_of(entries: list[tuple[int, int, int, int]], size: int, pages: int = 1) -> bytes:
    """A BigTIFF of 8 × 8 with these entries besides, its content behind the first 16 bytes."""
    plain = {**TINY, 259: 1, 273: 16, 278: 8, 279: 64}
    given = {tag: (tag, *rest) for tag, *rest in entries}
    tags = {tag: (tag, 4, 1, value) for tag, value in plain.items()} | given
    packed = b"".join(struct.pack("<HHQQ", *tags[tag]) for tag in sorted(tags))
    where, length = 16 + size, 8 + len(packed) + 8
    out = b"II+\0\x08\0\0\0" + struct.pack("<Q", where) + bytes(size)
    for page in range(1, pages + 1):
        following = 0 if page == pages else where + page * length
        out += struct.pack("<Q", len(tags)) + packed + struct.pack("<Q", following)
    return out


MORE = "tags that hold more than the file"
NUMBERS = "tags of more than 262144 numbers"
BOMBS = {
    **{f"compression {n}": strip(n, bytes(encode(PIXELS))) for n, encode in CODECS.items()},
    "tiles of more": tiles(2**15, zlib.compress(bytes(2**20))),
    "more than 100 scans": jpeg(101),
    "more than 100 pages": strip(1, bytes(64), pages=101),
    "chunks": png(chunk(b"abCd") * 40_000),
    "segments": commented(b"\xff\xfe\0\2", 40_000),
    "more than 32768 segments": commented(b"\xff\xff", 40_000),
    f"{MORE}, a PNG": png(chunk(b"eXIf", notes(3000))),
    f"{MORE}, behind its pixels": png(b"", chunk(b"eXIf", notes(3000))),
    f"{MORE}, before what is fine": png(
        chunk(b"eXIf", notes(3000)), chunk(b"eXIf", notes(1, each=1))
    ),
    f"{MORE}, a PNG with a text": png(chunk(b"tEXt", b"exif\0" + notes(3000))),
    f"{MORE}, a PNG of ImageMagick": png(chunk(b"zTXt", raw_profile(notes(3000, each=10_000)))),
    f"{MORE}, a JPEG": with_segments(notes(3000)),
    f"{MORE}, a WebP": file_of(PIXELS[:8, :8], "WEBP", exif=notes(3000)),
    f"{MORE}, a TIFF": tiff_of([(40_000 + n, 4, 50_000, 16) for n in range(3000)], 200_000),
    f"{NUMBERS}, shared strips": wide(pages=99, strips=50_000),
    **{
        f"{MORE}, below {tag}": png(chunk(b"eXIf", notes(3000, below=tag)))
        for tag in (34665, 34853)
    },
    NUMBERS: png(chunk(b"eXIf", notes(1, each=300_000, kind=3))),
    f"{NUMBERS}, strips": wide(pages=1, strips=140_000),
    "more than 10 chunks of EXIF": png(chunk(b"eXIf", notes(1, each=1)) * 11),
}
FINE = {
    "plain": strip(1, bytes(64)),
    "deflate": strip(8, zlib.compress(bytes(64))),
    "tiled": tiles(256, zlib.compress(bytes(2**16))),
    "progressive": file_of(PHOTO, "JPEG", progressive=True),
    "some chunks": png(chunk(b"abCd") * 1000),
    "some comments": commented(b"\xff\xfe\0\2", 1000),
    "a maker's note": with_segments(notes(1, each=300_000, kind=7)),
    "notes in a text": png(chunk(b"zTXt", raw_profile(notes(20, each=2)))),
    "notes beyond the end": png(chunk(b"eXIf", notes(20)[:1000])),
    "in circles": png(chunk(b"eXIf", notes(20, each=1, below=34665).replace(b"\x1a", b"\x08"))),
    "BigTIFF": tiff_of([(254, 4, 1, 0), (40_000, 4, 1000, 16)], 4000),
    "many strips": tiff_of([(273, 4, 1000, 16), (279, 4, 1000, 16)], 4000),
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
    assert name.partition(",")[0] in caught.value.detail


MEASURE = """
import base64, json, resource, sys
from fastapi import HTTPException
from diffir.serving.limits import examine
bombs = [base64.b64decode(text) for text in json.load(sys.stdin)]
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
import tifffile, imagecodecs
before = peak()
for bomb in bombs:
    try:
        examine(bomb, "the picture", 10_000)
    except HTTPException as error:
        assert error.status_code == 415
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="others count memory in other units")
def test_no_bomb_takes_memory_of_the_process_that_python_does_not_count():
    bombs = json.dumps([base64.b64encode(bomb).decode() for bomb in BOMBS.values()])
    command = [sys.executable, "-c", MEASURE]
    done = subprocess.run(command, input=bombs, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50_000  # KiB; without the door, some of them took gigabytes


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
    bomb = buffer.getvalue()[:33] + chunk(b"zTXt", content) + buffer.getvalue()[33:]
    with pytest.raises(HTTPException) as caught:
        examine(bomb, "the picture", 10_000)
    assert caught.value.status_code == 422
