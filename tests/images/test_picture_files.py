"""What goes into a file comes out of it: samples, depth, channels, ICC and EXIF."""

import io
import logging
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import IFDRational

from diffir.images import SUFFIXES, Picture, read

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
OF_GRAY = SRGB[:16] + b"GRAY" + SRGB[20:]
LENS, SHUTTER, TAKEN, WIDTH, HEIGHT = 0xA434, 0x829A, 0x9003, 0xA002, 0xA003


def noise(channels, dtype, height=13, width=9):
    top = np.iinfo(dtype).max
    return np.random.default_rng(channels).integers(
        0, top, (height, width, channels), dtype=dtype, endpoint=True
    )


def smooth(channels, dtype=np.uint8):
    """A ramp with every channel another way, which lossy formats keep within a few levels."""
    rows, columns = np.mgrid[0:32, 0:48] / 48
    planes = [rows, columns, 1 - rows, 0.5 + columns / 2][:channels]
    return (np.stack(planes, axis=2) * np.iinfo(dtype).max).astype(dtype)


def camera_notes():
    exif = Image.Exif()
    exif[Base.Make] = "Ferrania"
    exif[Base.Artist] = "Zoë Ångström".encode()
    exif[Base.XResolution] = IFDRational(300, 1)
    exif[IFD.Exif] = {SHUTTER: IFDRational(1, 125), TAKEN: "2024:02:29 12:00:00"}
    exif[IFD.GPSInfo] = {1: "N", 2: (IFDRational(52), IFDRational(31), IFDRational(1, 3))}
    return exif


def loaded(exif_bytes):
    exif = Image.Exif()
    exif.load(exif_bytes)
    return exif


def assert_camera_notes(exif_bytes):
    exif = loaded(exif_bytes)
    assert exif[Base.Make] == "Ferrania"
    assert exif[Base.Artist].encode("latin-1") == "Zoë Ångström".encode()
    assert exif[Base.Orientation] == 1
    assert exif[Base.XResolution] == 300
    assert exif.get_ifd(IFD.Exif) == {SHUTTER: IFDRational(1, 125), TAKEN: "2024:02:29 12:00:00"}
    assert exif.get_ifd(IFD.GPSInfo)[1] == "N"
    assert exif.get_ifd(IFD.GPSInfo)[2][2] == IFDRational(1, 3)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_and_tiff_come_back_bit_for_bit(tmp_path, suffix, dtype, channels):
    array = noise(channels, dtype)
    path = tmp_path / f"picture{suffix}"
    Picture.from_array(array).save(path)

    again = read(path)
    assert again.to_array().dtype == dtype
    np.testing.assert_array_equal(again.to_array(), array)
    assert again.is_gray == (channels < 3)
    assert (again.alpha is not None) == (channels in (2, 4))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_other_programs_read_what_we_write(tmp_path, suffix, dtype, channels):
    array = noise(channels, dtype)
    path = tmp_path / f"picture{suffix}"
    Picture.from_array(array).save(path)

    foreign = tifffile.imread(path) if suffix == ".tif" else imagecodecs.imread(path)
    np.testing.assert_array_equal(np.atleast_3d(foreign), array)
    if dtype == np.uint8:
        np.testing.assert_array_equal(np.atleast_3d(np.asarray(Image.open(path))), array)


def test_every_sixteen_bit_value_survives_the_float_in_between(tmp_path):
    array = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Picture.from_array(array).save(tmp_path / "ramp.png")
    np.testing.assert_array_equal(read(tmp_path / "ramp.png").to_array()[..., 0], array)


@pytest.mark.parametrize(
    ("suffix", "channels"),
    [(".jpg", 1), (".jpeg", 3), (".webp", 3), (".webp", 4), (".bmp", 1), (".bmp", 3)],
)
def test_eight_bit_formats_come_back_nearly_alike(tmp_path, suffix, channels):
    array = smooth(channels)
    Picture.from_array(array).save(tmp_path / f"picture{suffix}")

    again = read(tmp_path / f"picture{suffix}").to_array()
    assert again.shape == array.shape
    tolerance = 0 if suffix == ".bmp" else 6  # lossy; BMP is exact
    assert np.abs(again.astype(int) - array).max() <= tolerance


def test_webp_at_quality_100_is_lossless(tmp_path):
    array = noise(3, np.uint8)
    Picture.from_array(array).save(tmp_path / "picture.webp", quality=100)
    np.testing.assert_array_equal(read(tmp_path / "picture.webp").to_array(), array)


def test_webp_at_quality_100_keeps_colours_under_full_transparency(tmp_path):
    array = noise(4, np.uint8)
    array[::2, :, 3] = 0
    Picture.from_array(array).save(tmp_path / "picture.webp", quality=100)
    np.testing.assert_array_equal(read(tmp_path / "picture.webp").to_array(), array)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lower_quality_makes_smaller_files(tmp_path, suffix):
    picture = Picture.from_array(noise(3, np.uint8, 64, 64))
    low, high = (tmp_path / f"{quality}{suffix}" for quality in (30, 95))
    picture.save(low, quality=30)
    picture.save(high, quality=95)
    assert low.stat().st_size < high.stat().st_size / 2


def test_gray_webp_is_read_as_rgb_of_equal_channels(tmp_path):
    Picture.from_array(smooth(2)).save(tmp_path / "gray.webp")
    again = read(tmp_path / "gray.webp").to_array().astype(int)
    assert again.shape == (32, 48, 4)
    assert np.abs(again[..., 0] - again[..., 2]).max() <= 3  # lossy chroma


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp"])
def test_sixteen_bits_into_an_eight_bit_format_are_rounded_and_logged(tmp_path, suffix, caplog):
    with caplog.at_level(logging.WARNING):
        Picture.from_array(smooth(3, np.uint16)).save(tmp_path / f"picture{suffix}", quality=100)
    assert "16 bits rounded to 8" in caplog.text
    again = read(tmp_path / f"picture{suffix}")
    assert again.bit_depth == 8
    assert np.abs(again.pixels - smooth(3, np.uint16) / 65535).max() < 0.02  # JPEG is lossy


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_icc_and_exif_come_back(tmp_path, suffix, dtype, channels):
    image = Image.fromarray(np.squeeze(smooth(channels)))
    profile = OF_GRAY if channels == 1 else SRGB
    image.save(tmp_path / "camera.jpg", icc_profile=profile, exif=camera_notes())
    camera = read(tmp_path / "camera.jpg")
    path = tmp_path / f"picture{suffix}"
    picture = Picture(
        pixels=camera.pixels,
        bit_depth=np.iinfo(dtype).bits,
        icc=camera.icc,
        exif=camera.exif,
    )
    picture.save(path)

    again = read(path)
    assert_camera_notes(again.exif)
    gray_became_rgb = suffix == ".webp" and channels == 1
    assert again.icc == (None if gray_became_rgb else profile)
    if suffix in (".png", ".tif"):
        assert again.bit_depth == np.iinfo(dtype).bits
        np.testing.assert_array_equal(again.to_array(), picture.to_array())


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_pillow_finds_the_icc_and_exif_we_write(tmp_path, suffix):
    picture = Picture(
        pixels=np.zeros((4, 5, 3), np.float32), icc=SRGB, exif=camera_notes().tobytes()
    )
    picture.save(tmp_path / f"picture{suffix}")
    with Image.open(tmp_path / f"picture{suffix}") as image:
        image.load()
        assert image.info["icc_profile"] == SRGB
        exif = image.getexif()
        assert exif[Base.Make] == "Ferrania"
        assert exif.get_ifd(IFD.Exif)[TAKEN] == "2024:02:29 12:00:00"
        assert exif.get_ifd(IFD.GPSInfo)[1] == "N"


def test_tiff_tags_about_storage_stay_out_of_the_exif(tmp_path):
    Image.fromarray(smooth(3)).save(
        tmp_path / "a.tif", exif=camera_notes().tobytes(), icc_profile=SRGB
    )
    picture = read(tmp_path / "a.tif")
    assert set(loaded(picture.exif)) == {
        Base.Make, Base.Artist, Base.XResolution, Base.Orientation, IFD.Exif, IFD.GPSInfo
    }  # fmt: skip


def test_a_tiff_written_twice_keeps_its_metadata(tmp_path):
    first = Picture(
        pixels=np.zeros((4, 5, 3), np.float32),
        bit_depth=16,
        icc=SRGB,
        exif=camera_notes().tobytes(),
    )
    first.save(tmp_path / "1.tif")
    read(tmp_path / "1.tif").save(tmp_path / "2.tif")
    again = read(tmp_path / "2.tif")
    assert_camera_notes(again.exif)
    assert (again.icc, again.bit_depth) == (SRGB, 16)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_damaged_exif_is_dropped_and_the_picture_is_read(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(smooth(3)).save(path, exif=b"Exif\0\0not an EXIF block at all")
    picture = read(path)
    assert (picture.exif, picture.width) == (None, 48)


def test_a_picture_without_metadata_gets_none(tmp_path):
    for suffix in SUFFIXES:
        Picture.from_array(smooth(3)).save(tmp_path / f"bare{suffix}")
        bare = read(tmp_path / f"bare{suffix}")
        assert (bare.icc, bare.exif) == (None, None), suffix


def test_the_format_says_what_the_file_was(tmp_path):
    expected = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".bmp": "BMP"}
    for suffix, name in expected.items():
        Picture.from_array(smooth(3)).save(tmp_path / f"a{suffix}")
        assert read(tmp_path / f"a{suffix}").format == name


def test_content_counts_and_not_the_name(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(smooth(3)).save(buffer, "PNG")
    (tmp_path / "liar.jpg").write_bytes(buffer.getvalue())
    assert read(tmp_path / "liar.jpg").format == "PNG"


@pytest.mark.parametrize(
    "name", ["Größe 大きさ.png", "-leading dash.png", "a b  c.png", "😀'\".png"]
)
def test_names_of_any_characters_work(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Picture.from_array(smooth(3)).save(name)
    np.testing.assert_array_equal(read(name).to_array(), smooth(3))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp"])
def test_a_picture_from_a_turned_array_is_written(tmp_path, suffix):
    planes = np.linspace(0, 1, 3 * 8 * 6, dtype=np.float32).reshape(3, 8, 6)
    picture = Picture.from_array(planes.transpose(1, 2, 0))  # as tensors become arrays
    picture.save(tmp_path / f"p{suffix}", quality=100)
    found = read(tmp_path / f"p{suffix}").pixels
    assert found.shape == (8, 6, 3)
    np.testing.assert_allclose(found, picture.pixels, atol=0.06)  # JPEG's loss


@pytest.mark.parametrize("description", ['{"shape": [8, 8, 3]}', "ImageJ=1.53", "a note"])
def test_a_note_of_how_a_tiff_lay_does_not_go_on(tmp_path, description: str) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    options = {"description": description, "metadata": None, "photometric": "rgb"}
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    read(tmp_path / "a.tif").save(tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        kept = file.pages.first.description
    assert kept == ("a note" if description == "a note" else "")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize(("channels", "foreign"), [(1, SRGB), (3, OF_GRAY)])
def test_a_profile_of_other_channels_is_left_out_and_told(
    tmp_path, suffix, channels, foreign, caplog
):
    picture = replace(Picture.from_array(smooth(channels)), icc=foreign)
    picture.save(tmp_path / f"a{suffix}")
    assert read(tmp_path / f"a{suffix}").icc is None
    assert "the colour profile was dropped" in caplog.text


def test_more_exif_than_jpeg_holds_goes_without_the_maker_note_or_goes(tmp_path, caplog):
    for tag, kept in ((Base.MakerNote, True), (Base.UserComment, False)):
        exif = camera_notes()
        exif[IFD.Exif] = {**exif[IFD.Exif], tag: bytes(70_000)}
        picture = replace(Picture.from_array(smooth(3)), exif=exif.tobytes())
        picture.save(tmp_path / "a.jpg", quality=100)
        again = read(tmp_path / "a.jpg").exif
        assert (again is not None) == kept
        if kept:
            assert_camera_notes(again)
    assert "maker note was dropped" in caplog.messages[0]
    assert "the EXIF data was dropped" in caplog.messages[1]
