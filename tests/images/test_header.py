"""Headers: what `read` would say, told without decoding."""

from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage import data

from diffir.errors import PictureError
from diffir.images import Picture, PictureSizeError, decode, header, read

PHOTO = np.ascontiguousarray(data.astronaut()[:20, 200:230])
ALPHA = np.dstack([PHOTO, np.full((20, 30), 90, np.uint8)])


def exif(orientation: int) -> Image.Exif:
    notes = Image.Exif()
    notes[274] = orientation
    return notes


def late_exif(path: Path) -> None:
    """A PNG whose EXIF comes behind its pixels."""
    Image.fromarray(PHOTO).save(path, exif=exif(6))
    whole = path.read_bytes()
    start = whole.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(whole[start : start + 4], "big")
    tail = whole.index(b"IEND") - 4
    path.write_bytes(whole[:start] + whole[end:tail] + whole[start:end] + whole[tail:])


def transparent_palette(path: Path) -> None:
    Image.fromarray(PHOTO).convert("P").save(path, transparency=3)


WRITERS = {
    "rgb.png": lambda path: Image.fromarray(PHOTO).save(path),
    "rgba.png": lambda path: Image.fromarray(ALPHA).save(path),
    "gray.png": lambda path: Image.fromarray(PHOTO[..., 0]).save(path),
    "gray alpha.png": lambda path: Image.fromarray(PHOTO).convert("LA").save(path),
    "one bit.png": lambda path: Image.fromarray(PHOTO).convert("1").save(path),
    "palette.png": lambda path: Image.fromarray(PHOTO).convert("P").save(path),
    "clear palette.png": transparent_palette,
    "gray 16.png": lambda path: path.write_bytes(
        imagecodecs.png_encode(PHOTO[..., 0].astype(np.uint16) * 257)
    ),
    "rgb 16.png": lambda path: path.write_bytes(
        imagecodecs.png_encode(PHOTO.astype(np.uint16) * 257)
    ),
    "turned.png": lambda path: Image.fromarray(PHOTO).save(path, exif=exif(8)),
    "turned late.png": late_exif,
    "rgb.jpg": lambda path: Image.fromarray(PHOTO).save(path),
    "gray.jpg": lambda path: Image.fromarray(PHOTO[..., 0]).save(path),
    "cmyk.jpg": lambda path: Image.fromarray(PHOTO).convert("CMYK").save(path),
    "turned.jpg": lambda path: Image.fromarray(PHOTO).save(path, exif=exif(6)),
    "upside down.jpg": lambda path: Image.fromarray(PHOTO).save(path, exif=exif(3)),
    "rgb.webp": lambda path: Image.fromarray(PHOTO).save(path),
    "rgba.webp": lambda path: Image.fromarray(ALPHA).save(path, lossless=True),
    "rgb.bmp": lambda path: Image.fromarray(PHOTO).save(path),
    "gray.bmp": lambda path: Image.fromarray(PHOTO[..., 0]).save(path),
    "rgb.tif": lambda path: tifffile.imwrite(path, PHOTO, photometric="rgb"),
    "rgba 16.tif": lambda path: tifffile.imwrite(
        path, ALPHA.astype(np.uint16) * 257, photometric="rgb", extrasamples=["unassalpha"]
    ),
    "gray float.tif": lambda path: tifffile.imwrite(
        path, PHOTO[..., 0].astype(np.float32) / 255, photometric="minisblack"
    ),
    "palette.tif": lambda path: Image.fromarray(PHOTO).convert("P").save(path),
    "cmyk.tif": lambda path: Image.fromarray(PHOTO).convert("CMYK").save(path),
    "turned.tif": lambda path: Image.fromarray(PHOTO).save(path, tiffinfo={274: 5}),
}


def facts(picture: Picture) -> tuple[object, ...]:
    channels = picture.pixels.shape[2]
    has_alpha = picture.alpha is not None
    return (picture.width, picture.height, channels, has_alpha, picture.bit_depth, picture.format)


@pytest.mark.parametrize("name", WRITERS)
def test_the_header_says_what_reading_finds(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    wanted = facts(read(path))
    for found in (header(path), header("a name", BytesIO(path.read_bytes()))):
        said = (found.width, found.height, found.channels, found.has_alpha)
        assert (*said, found.bit_depth, found.format) == wanted
        assert found.is_cmyk == name.startswith("cmyk")
    assert facts(decode(path.read_bytes(), "a name")) == wanted


def test_the_pixels_are_not_looked_at(tmp_path: Path) -> None:
    for name in ("rgb.png", "rgb.jpg", "rgb.tif"):  # WebP is opened whole
        path = tmp_path / name
        Image.fromarray(np.tile(PHOTO, (9, 9, 1))).save(path)
        whole = path.read_bytes()
        if name != "rgb.tif":  # whose directory is at the end
            path.write_bytes(whole[: len(whole) // 2])
        assert (header(path).width, header(path).height) == (270, 180)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "an empty file found"),
        (b"hello world, hello", "not a picture"),
        (b"GIF89a" + bytes(20), "a GIF file found"),
        (b"\x89PNG\r\n\x1a\n", "cannot be decoded"),
    ],
)
def test_what_is_no_picture_is_a_sentence_with_its_name(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for refused in (lambda: header(path), lambda: read(path)):
        with pytest.raises(PictureError, match=sentence) as caught:
            refused()
        assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(PictureError, match=rf"^b: .*{sentence}"):
        decode(content, "b")


def test_missing_files_folders_animations_and_pages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no such file"):
        header(tmp_path / "gone.png")
    with pytest.raises(PictureError, match="a folder found"):
        header(tmp_path)
    frames = [Image.fromarray(PHOTO), Image.fromarray(PHOTO[::-1].copy())]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(PictureError, match="an animation found"):
        header(tmp_path / "a.webp")
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(PictureError, match="several pages found"):
        header(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp"])
def test_too_many_pixels_are_told_as_that(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(PHOTO).save(path)
    assert header(path, max_pixels=600).width == 30
    for refusing in (header, read):
        with pytest.raises(PictureSizeError, match="30 x 20 pixels found") as caught:
            refusing(path, max_pixels=599)
        assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("notes", [b"Exif\0\0XX garbage", b"Exif\0\0II*\0"])
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_damaged_exif_is_dropped_as_in_reading(tmp_path, suffix, notes, caplog):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PHOTO).save(path, exif=notes)
    assert facts(read(path))[:2] == (header(path).width, header(path).height) == (30, 20)
    assert "the EXIF data is damaged and was dropped" in caplog.text


def test_damaged_exif_of_a_tiff_is_dropped_by_header_and_reading(tmp_path, monkeypatch):
    def broken(*_args):
        raise SyntaxError("not a TIFF file")

    Image.fromarray(PHOTO).save(tmp_path / "a.tif", tiffinfo={274: 5})
    monkeypatch.setattr(Image.Exif, "load_from_fp", broken)
    for find in (header, read):
        found = find(tmp_path / "a.tif")
        assert (found.width, found.height) == (30, 20)
