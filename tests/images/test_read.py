"""Reading: every kind of file that people have, and one sentence for what cannot be read."""

import contextlib
import errno
import io
import os
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps
from PIL.ExifTags import IFD, Base

from diffir.errors import PictureError
from diffir.images import Picture, header, read

RGB = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)
RGB16 = np.random.default_rng(1).integers(0, 65536, (6, 10, 3), dtype=np.uint16)
ALPHA16 = np.random.default_rng(2).integers(0, 65536, (6, 10, 1), dtype=np.uint16)
WIDTH_TAG, HEIGHT_TAG = Base.ExifImageWidth, Base.ExifImageHeight


def saved(path, image, **options):
    image.save(path, **options)
    return path


def message(path, **options):
    """The sentence that a user gets for a file."""
    with pytest.raises(PictureError) as caught:
        read(path, **options)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


# --- which way up ---------------------------------------------------------------------------


def halves():
    """Colour patches large enough for JPEG and WebP to keep, different in every corner."""
    array = np.zeros((32, 48, 3), np.uint8)
    array[:16, :16], array[16:, :16], array[:16, 16:] = (200, 30, 30), (30, 200, 30), (30, 30, 200)
    return Image.fromarray(array)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_pictures_are_turned_upright(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    exif[IFD.Exif] = {WIDTH_TAG: 48, HEIGHT_TAG: 32}
    path = saved(tmp_path / f"a{suffix}", halves(), exif=exif.tobytes())

    picture = read(path)
    image = halves()
    image.getexif()[Base.Orientation] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image))
    assert (picture.height, picture.width) == upright.shape[:2]
    assert np.abs(picture.to_array().astype(int) - upright).mean() < 8  # JPEG and WebP are lossy

    kept = Image.Exif()
    kept.load(picture.exif)
    assert kept[Base.Orientation] == 1
    details = kept.get_ifd(IFD.Exif)
    assert (details[HEIGHT_TAG], details[WIDTH_TAG]) == upright.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bits_and_alpha_are_turned_upright_together(tmp_path, orientation):
    array = np.concatenate([RGB16, ALPHA16], axis=2)
    tags = [(274, 3, 1, orientation, True)]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="rgb", extrasamples=["unassalpha"], extratags=tags)

    turned = read(path).to_array()
    image = Image.fromarray(np.arange(60, dtype=np.uint8).reshape(6, 10))  # which pixel is where
    image.getexif()[Base.Orientation] = orientation
    order = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(turned, array.reshape(60, 4)[order])


def test_exif_behind_the_pixels_of_a_png_counts(tmp_path):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    Image.fromarray(RGB).save(buffer, "PNG", exif=exif)
    data = buffer.getvalue()
    start = data.index(b"eXIf") - 4
    end = start + 12 + struct.unpack(">I", data[start : start + 4])[0]
    chunk, rest = data[start:end], data[:start] + data[end:]
    (tmp_path / "a.png").write_bytes(rest[:-12] + chunk + rest[-12:])
    np.testing.assert_array_equal(read(tmp_path / "a.png").to_array(), np.rot90(RGB, -1))


# --- kinds of colour ------------------------------------------------------------------------


def png(width, bits, colour_type, row, *chunks):
    """A PNG of one row, chunk by chunk, since Pillow writes not all that the standard allows."""

    def chunk(name, content):
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, 1, bits, colour_type, 0, 0, 0)
    body = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in body)


def test_a_palette_with_transparency_becomes_rgb_with_alpha(tmp_path):
    palette = (b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255]))
    data = png(4, 8, 3, bytes([0, 1, 2, 0]), palette, (b"tRNS", bytes([0, 128])))
    (tmp_path / "a.png").write_bytes(data)
    expected = [[[255, 0, 0, 0], [0, 255, 0, 128], [0, 0, 255, 255], [255, 0, 0, 0]]]
    np.testing.assert_array_equal(read(tmp_path / "a.png").to_array(), expected)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_low_bit_gray_spans_black_to_white_and_its_transparent_value_counts(tmp_path, bits):
    white = 2**bits - 1
    row = bytes([white << (8 - bits)])  # white, black …
    data = png(2, bits, 0, row, (b"tRNS", struct.pack(">H", white)))
    (tmp_path / "a.png").write_bytes(data)
    picture = read(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.to_array(), [[[255, 0], [0, 255]]])
    assert picture.bit_depth == 8


def test_a_transparent_colour_in_sixteen_bits_counts(tmp_path):
    row = struct.pack(">6H", 1, 2, 3, 40000, 50000, 60000)
    data = png(2, 16, 2, row, (b"tRNS", struct.pack(">3H", 1, 2, 3)))
    (tmp_path / "a.png").write_bytes(data)
    expected = [[[1, 2, 3, 0], [40000, 50000, 60000, 65535]]]
    np.testing.assert_array_equal(read(tmp_path / "a.png").to_array(), expected)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_one_bit_pictures_are_gray(tmp_path, suffix):
    bits = RGB[..., 0] > 127
    picture = read(saved(tmp_path / f"a{suffix}", Image.fromarray(bits)))
    np.testing.assert_array_equal(picture.to_array()[..., 0], bits * np.uint8(255))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_palettes_become_rgb(tmp_path, suffix):
    image = Image.fromarray(RGB).quantize(16)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(read(saved(tmp_path / f"a{suffix}", image)).to_array(), expected)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_becomes_rgb_and_loses_its_profile(tmp_path, suffix):
    image = Image.new("CMYK", (16, 16), (255, 0, 128, 51))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = read(saved(tmp_path / f"a{suffix}", image, icc_profile=profile))
    assert picture.icc is None
    assert np.abs(picture.to_array()[8, 8].astype(int) - [0, 204, 102]).max() <= 3  # lossy JPEG


def test_ycck_jpeg_becomes_rgb(tmp_path):
    cmyk = np.full((16, 16, 4), (255, 0, 128, 51), np.uint8)
    data = imagecodecs.jpeg8_encode(255 - cmyk, level=98, colorspace="cmyk", outcolorspace="ycck")
    (tmp_path / "a.jpg").write_bytes(data)
    picture = read(tmp_path / "a.jpg").to_array()
    assert np.abs(picture[8, 8].astype(int) - [0, 204, 102]).max() <= 3  # lossy JPEG


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd"])
@pytest.mark.parametrize("layout", ["contig", "separate"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_every_layout_of_sixteen_bit_tiff_is_read(tmp_path, compression, layout, tile):
    array = np.concatenate([RGB16, ALPHA16], axis=2)
    stored = array if layout == "contig" else np.moveaxis(array, 2, 0)
    tifffile.imwrite(
        tmp_path / "a.tif",
        stored,
        photometric="rgb",
        planarconfig=layout,
        extrasamples=["unassalpha"],
        compression=compression,
        tile=tile,
        byteorder=">",
    )
    np.testing.assert_array_equal(read(tmp_path / "a.tif").to_array(), array)


def test_big_tiff_is_read_with_its_metadata(tmp_path):
    tags = [(271, 2, 0, "Ferrania", True)]
    tifffile.imwrite(tmp_path / "a.tif", RGB16, photometric="rgb", bigtiff=True, extratags=tags)
    picture = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.to_array(), RGB16)
    assert b"Ferrania" in picture.exif


def test_associated_alpha_is_divided_out_of_the_colours(tmp_path):
    array = np.array([[[100, 50, 0, 128], [9, 9, 9, 0], [200, 255, 7, 255]]], np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["assocalpha"])
    expected = [[[199, 100, 0, 128], [9, 9, 9, 0], [200, 255, 7, 255]]]
    np.testing.assert_array_equal(read(tmp_path / "a.tif").to_array(), expected)


def test_white_is_zero_is_inverted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RGB16[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(
        read(tmp_path / "a.tif").to_array()[..., 0], 65535 - RGB16[..., 0]
    )


def test_jpeg_inside_tiff_is_read(tmp_path):
    picture = read(
        saved(tmp_path / "a.tif", Image.new("YCbCr", (16, 16), (100, 90, 160)), compression="jpeg")
    )
    expected = np.asarray(Image.new("YCbCr", (1, 1), (100, 90, 160)).convert("RGB"))[0, 0]
    assert np.abs(picture.to_array()[8, 8].astype(int) - expected).max() <= 3  # lossy JPEG


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_tiff_in_zero_to_one_is_read_as_sixteen_bits(tmp_path, dtype):
    array = (RGB16 / 65535).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb")
    picture = read(tmp_path / "a.tif")
    assert picture.bit_depth == 16
    np.testing.assert_array_equal(picture.pixels, array.astype(np.float32))


def test_a_tiff_of_wider_integers_than_are_read_is_told_how_wide_they_may_be(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RGB.astype(np.uint64), photometric="rgb")
    assert "unsigned integers of at most 32 bits" in message(tmp_path / "a.tif")


def test_float_tiff_beyond_one_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RGB.astype(np.float32), photometric="rgb")
    assert "0 to 1" in message(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["LAB", "I"])
def test_unusual_tiffs_are_refused_in_one_sentence(tmp_path, mode):
    assert "convert it first" in message(saved(tmp_path / "a.tif", Image.new(mode, (4, 4))))


def test_a_tiff_of_many_channels_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9, 7), np.uint8), planarconfig="contig")
    assert "channels" in message(tmp_path / "a.tif")


# --- what cannot be read --------------------------------------------------------------------


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "a.png").touch()
    assert "empty" in message(tmp_path / "a.png")


def test_a_text_file_is_no_picture(tmp_path):
    (tmp_path / "a.png").write_text("no picture at all")
    assert "not a picture" in message(tmp_path / "a.png")


def test_a_missing_file_is_named(tmp_path):
    assert "no such file" in message(tmp_path / "a.png")


def test_a_path_no_system_can_open_is_one_sentence():
    assert "cannot be opened" in message("a\0b.png")


def test_a_folder_is_no_picture(tmp_path):
    assert "folder" in message(tmp_path)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_animations_are_refused(tmp_path, suffix):
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    path = saved(tmp_path / f"a{suffix}", frames[0], save_all=True, append_images=frames[1:])
    assert ("GIF" if suffix == ".gif" else "animation") in message(path)


def test_many_pages_are_refused_but_a_thumbnail_is_not_a_page(tmp_path):
    with tifffile.TiffWriter(tmp_path / "thumbnail.tif") as tiff:
        tiff.write(RGB, photometric="rgb", metadata=None)
        tiff.write(RGB[::2, ::2], photometric="rgb", metadata=None, subfiletype=1)
    np.testing.assert_array_equal(read(tmp_path / "thumbnail.tif").to_array(), RGB)
    with tifffile.TiffWriter(tmp_path / "pages.tif") as tiff:
        tiff.write(RGB, photometric="rgb", metadata=None)
        tiff.write(RGB, photometric="rgb", metadata=None)
    assert "pages" in message(tmp_path / "pages.tif")


def test_a_phone_jpeg_with_a_second_picture_gives_its_first(tmp_path):
    first, second = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue")
    path = tmp_path / "a.jpg"
    first.save(path, "MPO", save_all=True, append_images=[second])
    picture = read(path)
    assert picture.format == "JPEG"
    assert picture.pixels[8, 8, 0] > 0.9


def test_heic_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert "HEIC" in message(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_files_cut_short_are_one_sentence(tmp_path, suffix, share):
    whole = tmp_path / f"whole{suffix}"
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Picture.from_array(noise).save(whole)
    data = whole.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(data[: int(len(data) * share)])
    assert "damaged or cut short" in message(cut)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_files_cut_short_are_one_sentence(tmp_path, suffix):
    whole = tmp_path / f"whole{suffix}"
    Picture.from_array(np.repeat(RGB16, 9, axis=0)).save(whole)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[:-100])
    assert "damaged or cut short" in message(cut)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp"])
def test_damaged_files_are_a_sentence_or_a_picture_but_never_another_error(tmp_path, suffix):
    whole = tmp_path / f"whole{suffix}"
    Picture.from_array(RGB).save(whole)
    rng = np.random.default_rng(4)
    for _ in range(60):
        data = bytearray(whole.read_bytes())
        for position in rng.integers(0, len(data), 6):
            data[position] = rng.integers(0, 256)
        (tmp_path / "damaged").write_bytes(data)
        with contextlib.suppress(PictureError):
            read(tmp_path / "damaged", max_pixels=10_000)


# --- bombs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp"])
def test_more_pixels_than_allowed_are_refused(tmp_path, suffix):
    Picture.from_array(RGB).save(tmp_path / f"a{suffix}")
    assert "--max-pixels" in message(tmp_path / f"a{suffix}", max_pixels=59)
    assert read(tmp_path / f"a{suffix}", max_pixels=60).height == 6


def test_a_bomb_is_refused_by_its_header(tmp_path):
    # 65000 x 65000 in the header, and no pixels at all: decoding would fail in another way
    (tmp_path / "a.png").write_bytes(png(65000, 8, 2, b"").replace(
        struct.pack(">II", 65000, 1), struct.pack(">II", 65000, 65000)
    ))  # fmt: skip
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp_path / "a.png").write_bytes(data)
    assert "65000 x 65000 pixels" in message(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_pillows_own_limit_neither_counts_nor_changes(tmp_path, monkeypatch, suffix):
    Picture.from_array(RGB).save(tmp_path / f"a{suffix}")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read(tmp_path / f"a{suffix}").width == 10
    assert Image.MAX_IMAGE_PIXELS == 10


def test_a_name_that_is_too_long_is_one_sentence():
    assert "cannot be opened" in message("x" * 300)


def test_a_pipe_is_read_as_a_file_is(tmp_path):
    saved(tmp_path / "a.png", Image.fromarray(RGB))
    ours, theirs = os.pipe()
    os.write(theirs, (tmp_path / "a.png").read_bytes())  # far less than a pipe holds
    os.close(theirs)
    try:
        np.testing.assert_array_equal(read(f"/dev/fd/{ours}").to_array(), RGB)
    finally:
        os.close(ours)


def test_a_disk_that_fails_is_one_sentence():
    class Failing(io.BytesIO):
        def read(self, *_args):
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(PictureError, match=r"a name: cannot be read .*Input/output error"):
        header("a name", Failing())
