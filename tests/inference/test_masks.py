"""White, or transparent, is hole."""

import numpy as np
import pytest

from diffir.errors import MaskError
from diffir.images import Picture
from diffir.images.holes import holes_of
from diffir.inference.masks import find_holes

LEFT = np.zeros((4, 6), bool)
LEFT[:, :2] = True
PHOTO = Picture.from_array(np.full((4, 6, 3), 200, np.uint8))  # bright, so "white" as a mask


def gray(values) -> Picture:
    return Picture.from_array(np.asarray(values, np.uint8))


def with_alpha(colour: int, alpha) -> Picture:
    colours = np.full((*LEFT.shape, 3), colour, np.uint8)
    return Picture.from_array(np.dstack([colours, np.asarray(alpha, np.uint8)]))


def refused(picture: Picture, mask: Picture | None) -> str:
    with pytest.raises(MaskError) as caught:
        find_holes(picture, mask)
    return str(caught.value)


def test_white_is_hole():
    np.testing.assert_array_equal(find_holes(PHOTO, gray(LEFT * 255)), LEFT)


def test_halfway_white_is_hole():
    np.testing.assert_array_equal(
        holes_of(gray([[0, 127, 128, 255]])), [[False, False, True, True]]
    )


def test_transparent_is_hole():
    np.testing.assert_array_equal(find_holes(PHOTO, with_alpha(0, 255 - LEFT * 255)), LEFT)


def test_white_paint_on_transparent_ground_is_not_guessed_at():
    message = refused(PHOTO, with_alpha(255, 255 - LEFT * 255))
    assert "white or transparent all over, and both mean hole" in message


def test_white_counts_where_alpha_is_opaque_all_over():
    colours = np.repeat(LEFT[..., None] * np.uint8(255), 3, axis=2)
    mask = Picture.from_array(np.dstack([colours, np.full(LEFT.shape, 255, np.uint8)]))
    np.testing.assert_array_equal(find_holes(PHOTO, mask), LEFT)


def test_without_a_mask_the_pictures_own_transparency_is_filled():
    np.testing.assert_array_equal(find_holes(with_alpha(200, 255 - LEFT * 255), None), LEFT)


@pytest.mark.parametrize("alpha", [128, 255])
def test_bright_pixels_of_a_picture_without_mask_are_no_holes(alpha):
    message = refused(with_alpha(255, np.full(LEFT.shape, alpha)), None)
    assert "needs a mask" in message
    assert "white (or transparent) = hole" in message
    assert refused(PHOTO, None) == message


def test_a_mask_of_another_size_is_refused_with_both_sizes():
    assert "the mask is 4×6, the picture 6×4" in refused(PHOTO, gray(LEFT.T * 255))


def test_a_mask_without_holes_tells_the_polarity():
    assert "paint white what should be filled" in refused(PHOTO, gray(LEFT * 0))


def test_a_mask_that_is_all_hole_tells_the_polarity():
    assert "paint black what is known" in refused(PHOTO, gray(LEFT * 0 + 255))
