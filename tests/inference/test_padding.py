"""Pictures of every size are continued by reflection to the sides that networks take."""

import pytest
import torch
import torch.nn.functional as F

from diffir.inference.padding import pad_to_multiple


@pytest.mark.parametrize("multiple", [8, 16, 32])
def test_every_size_grows_to_the_next_multiple_and_keeps_its_pixels(multiple):
    for size in range(1, 41):
        for height, width in ((size, 1), (1, size), (size, 41 - size)):
            x = torch.rand(1, 2, height, width)
            padded = pad_to_multiple(x, multiple)
            assert padded.shape[2:] == (
                -(-height // multiple) * multiple,
                -(-width // multiple) * multiple,
            )
            assert torch.equal(padded[..., :height, :width], x)


def test_where_reflection_is_defined_it_is_torchs():
    x = torch.rand(2, 3, 13, 10)
    assert torch.equal(pad_to_multiple(x, 8), F.pad(x, (0, 6, 0, 3), mode="reflect"))


def test_short_sides_are_reflected_back_and_forth():
    row = torch.tensor([1.0, 2.0, 3.0]).expand(1, 1, 8, 3)
    assert pad_to_multiple(row, 8)[0, 0, 0].tolist() == [1, 2, 3, 2, 1, 2, 3, 2]


def test_a_single_pixel_is_repeated():
    assert torch.equal(
        pad_to_multiple(torch.full((1, 3, 1, 1), 0.3), 8), torch.full((1, 3, 8, 8), 0.3)
    )


def test_what_fits_is_not_copied():
    x = torch.rand(1, 3, 16, 8)
    assert pad_to_multiple(x, 8) is x
