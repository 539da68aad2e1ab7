"""SSIM against the reference numbers, scikit-image, and MATLAB's volume by scipy."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from skimage.metrics import structural_similarity
from torch import Tensor

from diffir.errors import DataError
from diffir.evaluation.psnr_ssim import psnr, ssim, ssim_volume

PARITY = Path(__file__).parents[1] / "parity"
PHOTOS = ["astronaut", "chelsea", "coffee"]


def picture(photo: str, what: str) -> Tensor:
    with np.load(PARITY / "pictures.npz") as file:
        return torch.from_numpy(file[f"{photo}__{what}"]).permute(2, 0, 1)[None].double() / 255


def crops() -> tuple[Tensor, Tensor]:
    """Different contents in a batch of two, (2, 3, 80, 90)."""
    pairs = [
        [picture(photo, what)[..., :80, :90] for photo in PHOTOS[:2]] for what in ("noisy", "rgb")
    ]
    restored, gt = (torch.cat(pictures) for pictures in pairs)
    return restored, gt


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("border", [0, 4])
@pytest.mark.parametrize("y_channel", [False, True])
def test_ssim_equals_the_reference(photo: str, border: int, y_channel: bool) -> None:
    channel = "y" if y_channel else "rgb"
    wanted = json.loads((PARITY / "pictures.json").read_text())
    found = ssim(picture(photo, "noisy"), picture(photo, "rgb"), border=border, y_channel=y_channel)
    # 1e-7: the reference has luma in float32
    assert float(found) == pytest.approx(wanted[f"{photo}/ssim_crop{border}_{channel}"], abs=1e-7)


def test_ssim_equals_scikit_image_for_each_picture_of_a_batch() -> None:
    restored, gt = crops()
    wanted = [
        structural_similarity(
            *(image.permute(1, 2, 0).numpy() for image in pair),
            gaussian_weights=True,
            use_sample_covariance=False,
            data_range=1,
            channel_axis=-1,
        )
        for pair in zip(restored, gt, strict=True)
    ]
    np.testing.assert_allclose(ssim(restored, gt).numpy(), wanted, atol=1e-12)


def test_equal_pictures_have_ssim_1_and_float32_is_computed_in_float64() -> None:
    restored, gt = (image.float() for image in crops())
    torch.testing.assert_close(ssim(gt, gt), torch.ones(2).double(), rtol=0, atol=1e-12)
    assert ssim(restored, gt).dtype == torch.float64


def test_the_smallest_picture_of_ssim_is_its_window() -> None:
    assert ssim(torch.ones(1, 3, 11, 11), torch.ones(1, 3, 11, 11)).shape == (1,)
    with pytest.raises(DataError, match="10×11 found; SSIM needs 11×11"):
        ssim(torch.ones(1, 3, 11, 10), torch.ones(1, 3, 11, 10))
    with pytest.raises(ValueError, match="must be equal"):
        ssim(torch.ones(1, 3, 11, 12), torch.ones(1, 3, 12, 11))


def volume_by_hand(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM of (C, H, W) in 0..255, all three dimensions under the window."""
    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights /= weights.sum()

    def mean(z: np.ndarray) -> np.ndarray:
        for axis in range(3):
            z = correlate1d(z, weights, axis=axis, mode="nearest")
        return z

    c1, c2 = 6.5025, 58.5225
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    return float(
        np.mean((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    )


def test_ssim_of_the_volume_is_matlabs_of_an_rgb_array() -> None:
    restored, gt = crops()
    wanted = [
        volume_by_hand(*(255 * image.numpy() for image in pair))
        for pair in zip(restored, gt, strict=True)
    ]
    np.testing.assert_allclose(ssim_volume(restored, gt).numpy(), wanted, atol=1e-12)
    assert (ssim_volume(restored, gt) - ssim(restored, gt)).abs().max() > 0.01  # they do differ


def test_psnr_in_the_hole_sees_nothing_else() -> None:
    gt = torch.full((2, 3, 12, 12), 0.5)
    mask = torch.zeros(2, 1, 12, 12)
    mask[0, :, 3:6, 2:9] = 1
    mask[1, :, 0, 0] = 1
    restored = torch.where(mask > 0, gt + torch.tensor([0.1, 0.01])[:, None, None, None], gt - 0.4)
    found = psnr(restored, gt, mask=mask)
    torch.testing.assert_close(found, torch.tensor([20.0, 40.0]).double(), atol=1e-4, rtol=0)


def test_psnr_in_the_hole_is_the_mean_over_its_pixels_and_channels_and_keeps_the_border_out() -> (
    None
):
    restored, gt = crops()
    mask = torch.zeros(2, 1, 80, 90)
    mask[..., 2:50, 0:40] = 1
    squares = (restored - gt)[..., 4:50, 4:40].square()
    wanted = -10 * torch.log10(squares.mean(dim=(1, 2, 3)))
    torch.testing.assert_close(psnr(restored, gt, mask=mask, border=4), wanted)


def test_a_mask_without_a_hole_is_refused() -> None:
    mask = torch.zeros(2, 1, 4, 4)
    mask[0] = 1
    with pytest.raises(DataError, match="without a hole"):
        psnr(torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4), mask=mask)
