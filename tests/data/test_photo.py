"""One photo degraded whole: what users try networks on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage import data

from diffir.data import DEGRADATIONS, imresize
from diffir.data.photo import degraded
from diffir.errors import DataError
from diffir.images import Picture

PHOTO = Picture.from_array(np.ascontiguousarray(data.astronaut()[:81, 180:250]))
WAYS = {"bicubic": 4, "published": 2, "mild": 4, "motion": 1, "phone": 1, "holes-everyday": 1}


@pytest.mark.parametrize(("name", "scale"), WAYS.items())
def test_every_degradation_makes_a_picture_of_a_seed(name: str, scale: int) -> None:
    first, again, other = (degraded(PHOTO, DEGRADATIONS[name], seed, scale) for seed in (1, 1, 2))
    assert (first.height, first.width) == (81 // scale, 70 // scale)
    assert first.bit_depth == 8
    assert np.array_equal(first.to_array(), again.to_array())
    assert np.array_equal(first.to_array(), other.to_array()) == (name == "bicubic")


def test_holes_are_transparent_and_the_colours_stay() -> None:
    found = degraded(PHOTO, DEGRADATIONS["holes-wide-256"], 0)
    assert found.alpha is not None
    assert 0 < (found.alpha == 0).mean() < 0.55
    assert np.array_equal(found.pixels, PHOTO.pixels)


def test_holes_leave_sixteen_bits_as_they_are() -> None:
    deep = replace(PHOTO, bit_depth=16)
    found = degraded(deep, DEGRADATIONS["holes-wide-256"], 0)
    assert np.array_equal(found.to_array()[..., :3], deep.to_array())


def test_holes_grow_with_the_photo() -> None:
    large = Picture.from_array(np.zeros((800, 1200, 3), np.uint8))
    small = Picture.from_array(np.zeros((200, 300, 3), np.uint8))
    shares = [
        np.mean([(degraded(p, DEGRADATIONS["holes-narrow-256"], s).alpha == 0).mean()
                 for s in range(6)])
        for p in (small, large)
    ]  # fmt: skip
    assert shares[0] == pytest.approx(shares[1], rel=0.05)


def test_gray_stays_gray_alpha_is_reduced_and_16_bits_become_8() -> None:
    alpha = np.random.default_rng(0).uniform(0.3, 0.7, (81, 70)).astype(np.float32)
    deep = replace(PHOTO, pixels=PHOTO.pixels[..., :1], alpha=alpha, bit_depth=16)
    found = degraded(deep, DEGRADATIONS["bicubic"], 0, 2)
    assert found.is_gray
    assert found.bit_depth == 8
    assert found.alpha is not None
    wanted = imresize(torch.from_numpy(alpha[None, None, :80]), 1 / 2)[0, 0]
    np.testing.assert_array_equal(found.alpha, wanted)


def test_a_photo_smaller_than_the_scale_is_a_sentence() -> None:
    tiny = Picture.from_array(np.zeros((3, 9, 3), np.uint8))
    with pytest.raises(DataError, match="9×3 pixels found; at least 4×4"):
        degraded(tiny, DEGRADATIONS["bicubic"], 0, 4)
