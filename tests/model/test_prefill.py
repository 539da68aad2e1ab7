"""Holes that are filled smoothly before the network sees them."""

import numpy as np
import pytest
import torch
from official import network, toy
from skimage import data

from diffir.inference.engine import restore
from diffir.model import DiffIRConfig
from diffir.model.prefill import prefilled

FILLING = {"prefill": True, "global_residual": True}


def pictures(height: int = 40, width: int = 56) -> tuple[torch.Tensor, torch.Tensor]:
    """A photo (1, 3, H, W) and a mask (1, 1, H, W) with a box and a line of holes."""
    photo = data.astronaut()[90 : 90 + height, 180 : 180 + width]
    mask = torch.zeros(1, 1, height, width)
    mask[..., 8:24, 10:30] = mask[..., 30, :] = 1
    return torch.from_numpy(np.ascontiguousarray(photo)).permute(2, 0, 1)[None] / 255, mask


def seen(photo: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.cat([photo * (1 - mask), mask], dim=1)


def test_known_pixels_and_the_mask_stay_to_the_bit():
    photo, mask = pictures()
    filled = prefilled(seen(photo, mask))
    known = (mask == 0).expand_as(photo)
    assert torch.equal(filled[:, :3][known], photo[known])
    assert torch.equal(filled[:, 3:], mask)


def test_filling_again_changes_nothing_and_what_is_under_holes_does_not_matter():
    photo, mask = pictures()
    filled = prefilled(seen(photo, mask))
    assert torch.equal(prefilled(filled), filled)
    scrawled = torch.cat([photo.where(mask == 0, torch.tensor(0.7)), mask], dim=1)
    assert torch.equal(prefilled(scrawled), filled)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (40, 56), (600, 31)])
def test_a_plain_picture_is_filled_with_its_colour(size):
    colour = torch.tensor([0.2, 0.5, 0.9])[None, :, None, None].expand(1, 3, *size)
    mask = torch.ones(1, 1, *size)
    mask[..., 0, 0] = 0
    torch.testing.assert_close(prefilled(seen(colour, mask))[:, :3], colour)


def test_a_ramp_goes_on_through_a_hole():
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 24:40, 24:40] = 1
    error = (prefilled(seen(ramp, mask))[:, :3] - ramp).abs().max()
    assert error < 0.03  # a hole spans 0.25; smoothing ends before Laplace's equation is solved


def test_a_picture_that_is_all_hole_is_finite():
    assert prefilled(seen(torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16))).isfinite().all()


def test_the_network_restores_what_was_filled_whoever_fills_it():
    model = network(2, toy("inpaint", **FILLING))
    photo, mask = pictures()
    lq = seen(photo, mask)
    noise = torch.randn(1, model.config.ipr_dim, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        restored = model(lq, noise)
        assert torch.equal(model(prefilled(lq), noise), restored)
        plain = network(2, toy("inpaint", global_residual=True))
        assert not torch.equal(plain(lq, noise), restored)
        torch.testing.assert_close(restore(model, lq, noise), restored, atol=1e-5, rtol=0)


def test_stage_1_fills_as_well():
    model = network(1, toy("inpaint", **FILLING))
    photo, mask = pictures()
    with torch.inference_mode():
        expected = model.extract_ipr(seen(photo, mask), photo)
        assert torch.equal(model.extract_ipr(prefilled(seen(photo, mask)), photo), expected)


def test_without_a_mask_there_is_nothing_to_fill():
    with pytest.raises(ValueError, match="prefill with 3 channels found"):
        DiffIRConfig(prefill=True)
