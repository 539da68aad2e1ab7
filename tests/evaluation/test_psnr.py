"""PSNR equals the reference of the field's metric code."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from diffir.errors import DataError
from diffir.evaluation import psnr, round_to_8_bit
from diffir.evaluation.psnr_ssim import to_y

PARITY = Path(__file__).parents[1] / "parity"
PHOTOS = ["astronaut", "chelsea", "coffee"]


def picture(photo: str, what: str) -> Tensor:
    with np.load(PARITY / "pictures.npz") as file:
        return torch.from_numpy(file[f"{photo}__{what}"]).permute(2, 0, 1)[None].double() / 255


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("border", [0, 4])
@pytest.mark.parametrize("y_channel", [False, True])
def test_psnr_equals_the_reference(photo: str, border: int, y_channel: bool) -> None:
    channel = "y" if y_channel else "rgb"
    wanted = json.loads((PARITY / "pictures.json").read_text())
    found = psnr(picture(photo, "noisy"), picture(photo, "rgb"), border=border, y_channel=y_channel)
    assert float(found) == pytest.approx(wanted[f"{photo}/psnr_crop{border}_{channel}"], abs=1e-3)


def test_each_picture_of_a_batch_has_its_own_score() -> None:
    gt = torch.full((2, 3, 8, 8), 0.5)
    found = psnr(gt + torch.tensor([0.1, 0.01])[:, None, None, None], gt)
    torch.testing.assert_close(found, torch.tensor([20.0, 40.0]).double(), atol=1e-4, rtol=0)


def test_equal_pictures_have_infinite_psnr() -> None:
    assert psnr(torch.ones(1, 3, 4, 4), torch.ones(1, 3, 4, 4)).isinf().all()


def test_different_sizes_and_too_wide_a_border_are_refused() -> None:
    with pytest.raises(ValueError, match="must be equal"):
        psnr(torch.ones(1, 3, 4, 4), torch.ones(1, 3, 4, 5))
    with pytest.raises(DataError, match="a border of 2 leaves nothing"):
        psnr(torch.ones(1, 3, 4, 4), torch.ones(1, 3, 4, 4), border=2)


def test_rounding_clamps() -> None:
    found = round_to_8_bit(torch.tensor([-0.2, 0.5, 1.3]))
    torch.testing.assert_close(found, torch.tensor([0.0, 128 / 255, 1.0]))


def test_luma_is_matlabs_from_16_to_235() -> None:
    colours = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0]]).T[None, :, :, None]
    found = to_y(colours.double())[0, 0, :, 0]
    torch.testing.assert_close(found, torch.tensor([16, 235, 81.481]).double())
