"""Picture: arrays and Pillow images in and out, and what is refused at the door."""

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base

from diffir.errors import PictureError
from diffir.images import Picture, read

COLOURS = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.dtype(">u2")])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_integer_arrays_come_back_bit_for_bit(dtype, channels):
    array = (COLOURS[..., :channels].astype(np.uint16) * 257).astype(dtype)
    picture = Picture.from_array(array)
    assert picture.bit_depth == np.dtype(dtype).itemsize * 8
    assert picture.is_gray == (channels < 3)
    assert (picture.height, picture.width) == (5, 7)
    np.testing.assert_array_equal(picture.to_array(), array)


def test_a_plain_matrix_is_gray():
    assert Picture.from_array(COLOURS[..., 0]).to_array().shape == (5, 7, 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_arrays_are_taken_as_they_are(dtype):
    array = np.linspace(0, 1, 105).reshape(5, 7, 3).astype(dtype)
    picture = Picture.from_array(array)
    assert picture.pixels.dtype == np.float32
    np.testing.assert_array_equal(picture.pixels, array.astype(np.float32))
    assert Picture.from_array(array).to_array().dtype == np.uint8
    assert Picture.from_array(array, bit_depth=16).to_array().dtype == np.uint16


def test_halves_are_rounded_up():
    values = np.array([[0.0, 0.5, 1.5, 2.5, 254.5, 255.0]], np.float64) / 255
    assert Picture.from_array(values).to_array()[0, :, 0].tolist() == [0, 1, 2, 3, 255, 255]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((0, 5, 3), np.uint8), "(0, 5, 3)"),
        (np.zeros((5, 0), np.uint8), "(5, 0, 1)"),
        (np.zeros((3, 40, 50), np.uint8), "transpose"),
        (np.zeros((1, 3, 40, 50), np.uint8), "(1, 3, 40, 50)"),
        (np.zeros(5, np.uint8), "(5,)"),
        (np.zeros((5, 5, 3), np.int64), "int64"),
        (np.zeros((5, 5, 3), bool), "bool"),
        (np.full((5, 5, 3), 255.0), "divide"),
        (np.full((5, 5, 3), -0.01), "-0.01"),
        (np.full((5, 5, 3), np.nan), "nan"),
        (np.full((5, 5, 3), np.inf), "inf"),
        (np.dstack([np.zeros((5, 5, 3)), np.full((5, 5), 2.0)]), "alpha"),
    ],
)
def test_wrong_arrays_are_refused_in_one_sentence(array, words):
    with pytest.raises(PictureError) as caught:
        Picture.from_array(array)
    assert words in str(caught.value)
    assert "wanted" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"pixels": np.zeros((4, 5, 3), np.float64)}, "float64"),
        ({"pixels": np.zeros((4, 5, 4), np.float32)}, "(4, 5, 4)"),
        ({"alpha": np.zeros((5, 4), np.float32)}, "(5, 4)"),
        ({"bit_depth": 12}, "12"),
    ],
)
def test_a_picture_that_contradicts_itself_is_refused(fields, words):
    with pytest.raises(PictureError, match="found") as caught:
        Picture(**{"pixels": np.zeros((4, 5, 3), np.float32), **fields})
    assert words in str(caught.value)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)])
def test_pillow_images_come_back(mode, channels):
    array = np.squeeze(COLOURS[..., :channels])
    image = Image.fromarray(array)
    assert image.mode == mode
    again = Picture.from_pil(image).to_pil()
    assert again.mode == mode
    np.testing.assert_array_equal(np.asarray(again), array)


def test_sixteen_bit_gray_of_pillow_keeps_its_bits():
    array = COLOURS[..., 0].astype(np.uint16) * 257
    picture = Picture.from_pil(Image.fromarray(array))
    assert picture.bit_depth == 16
    np.testing.assert_array_equal(picture.to_array()[..., 0], array)


def test_a_pillow_palette_with_transparency_becomes_rgb_with_alpha():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.info["transparency"] = 1
    expected = [[[10, 20, 30, 255], [40, 50, 60, 0]]]
    np.testing.assert_array_equal(Picture.from_pil(image).to_array(), expected)


def test_a_pillow_image_is_turned_upright_and_left_as_it_was():
    image = Image.fromarray(COLOURS[..., :3])
    image.getexif()[Base.Orientation] = 6
    image.info["icc_profile"] = b"profile"
    picture = Picture.from_pil(image)
    np.testing.assert_array_equal(picture.to_array(), np.rot90(COLOURS[..., :3], -1))
    assert picture.to_pil().getexif()[Base.Orientation] == 1
    assert picture.to_pil().info["icc_profile"] == b"profile"
    assert image.getexif()[Base.Orientation] == 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_that_pillow_turned_already_is_not_turned_again(tmp_path, orientation):
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    Image.fromarray(COLOURS[..., :3]).save(tmp_path / "a.tif", exif=exif.tobytes())
    with Image.open(tmp_path / "a.tif") as image:
        picture = Picture.from_pil(image)
    np.testing.assert_array_equal(picture.to_array(), read(tmp_path / "a.tif").to_array())


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_pillow_modes_without_a_clear_meaning_are_refused(mode):
    with pytest.raises(PictureError, match=f"mode {mode} "):
        Picture.from_pil(Image.new(mode, (3, 3)))
