"""A picture parted for a network and joined again keeps all that the network does not see."""

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from diffir.errors import PictureError
from diffir.images import Picture
from diffir.inference.planes import join, split

RNG = np.random.default_rng(0)
WIDTH_TAG, HEIGHT_TAG = Base.ExifImageWidth, Base.ExifImageHeight


def picture(channels, dtype=np.uint16):
    top = np.iinfo(dtype).max
    return Picture.from_array(RNG.integers(0, top, (6, 8, channels), dtype=dtype, endpoint=True))


def enlarged(array, scale):
    return array.repeat(scale, axis=0).repeat(scale, axis=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_what_nobody_changed_comes_back_bit_for_bit(dtype, channels):
    source = picture(channels, dtype)
    colours = split(source)
    assert colours.shape == (6, 8, 3)
    assert colours.dtype == np.float32
    again = join(colours, source)
    assert again.bit_depth == source.bit_depth
    np.testing.assert_array_equal(again.to_array(), source.to_array())
    np.testing.assert_array_equal(again.pixels, source.pixels)


def test_gray_is_seen_as_three_equal_channels_and_given_back_as_their_mean():
    source = picture(1)
    colours = split(source)
    np.testing.assert_array_equal(colours, source.pixels.repeat(3, axis=2))
    apart = np.broadcast_to(np.float32([0.1, 0.2, 0.6]), (6, 8, 3))
    np.testing.assert_allclose(join(apart, source).pixels, 0.3, rtol=1e-6)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_stays_untouched_at_scale_one(channels):
    source = picture(channels)
    assert join(np.zeros((6, 8, 3), np.float32), source).alpha is source.alpha


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_scaling_up_keeps_kind_and_depth(scale, channels):
    source = picture(channels)
    result = join(enlarged(split(source), scale), source)
    assert result.to_array().shape == (6 * scale, 8 * scale, channels)
    assert result.to_array().dtype == np.uint16


def test_enlarged_alpha_has_no_halo_and_no_holes():
    alpha = np.zeros((16, 16), np.float32)
    alpha[:, 8:] = 1
    source = Picture(pixels=np.zeros((16, 16, 3), np.float32), alpha=alpha)
    result = join(np.zeros((64, 64, 3), np.float32), source).alpha
    assert result.dtype == np.float32
    assert (result[:, :24] == 0).all()  # two pixels of the small alpha away from the edge
    assert (result[:, 40:] == 1).all()
    assert (np.diff(result, axis=1) >= 0).all()


def test_colours_beyond_the_range_are_clipped():
    result = join(np.full((6, 8, 3), 1.25, np.float32), picture(3))
    assert (result.pixels == 1).all()


def test_not_a_number_is_refused():
    with pytest.raises(PictureError, match="nan"):
        join(np.full((6, 8, 3), np.nan, np.float32), picture(3))


@pytest.mark.parametrize("shape", [(6, 9, 3), (7, 8, 3), (12, 8, 3), (6, 8, 1), (3, 4, 3), (6, 8)])
def test_a_result_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="wanted a whole multiple"):
        join(np.zeros(shape, np.float32), picture(3))


def test_metadata_is_kept_and_the_noted_size_follows():
    exif = Image.Exif()
    exif[Base.Make] = "Ferrania"
    exif[IFD.Exif] = {WIDTH_TAG: 8, HEIGHT_TAG: 6}
    source = Picture(
        pixels=np.zeros((6, 8, 3), np.float32), icc=b"profile", exif=exif.tobytes(), format="JPEG"
    )
    result = join(np.zeros((24, 32, 3), np.float32), source)
    assert (result.icc, result.format) == (b"profile", "JPEG")
    kept = Image.Exif()
    kept.load(result.exif)
    assert kept[Base.Make] == "Ferrania"
    assert kept.get_ifd(IFD.Exif) == {WIDTH_TAG: 32, HEIGHT_TAG: 24}
