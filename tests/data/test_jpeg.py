"""JPEG on tensors equals the reference, and comes close to files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from diffir.data.jpeg import jpeg, jpeg_file

REFERENCE = Path(__file__).parent / "degradations.npz"
PICTURES = Path(__file__).parents[1] / "parity" / "pictures.npz"


def photo(name: str = "astronaut") -> np.ndarray:
    with np.load(PICTURES) as file:
        return file[f"{name}__rgb"]


def tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_true_rounding_equals_the_reference(quality: int) -> None:
    found = jpeg(tensor(photo()), torch.tensor([quality]), transpose_luma=True)
    with np.load(REFERENCE) as file:
        wanted = file[f"jpeg__astronaut_q{quality}"]
    np.testing.assert_allclose(found, wanted, atol=1e-6)  # float32: another order of sums


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_untransposed_it_comes_closer_to_real_files(quality: int) -> None:
    pixels = photo()
    real = tensor(jpeg_file(pixels, quality))
    ours, swapped = (
        (jpeg(tensor(pixels), torch.tensor([quality]), transpose_luma=swap) - real).abs().mean()
        for swap in (False, True)
    )
    assert ours < 0.007  # files round tables and pixels, and smooth the chroma when enlarging
    assert ours < 0.7 * swapped


def test_every_picture_has_its_own_quality() -> None:
    images = torch.cat([tensor(photo())] * 3)
    qualities = torch.tensor([30.0, 60.0, 90.0])
    singles = [jpeg(i[None], q[None]) for i, q in zip(images, qualities, strict=True)]
    torch.testing.assert_close(jpeg(images, qualities), torch.cat(singles))


def test_lower_quality_loses_more() -> None:
    image = tensor(photo())
    losses = [float((jpeg(image, torch.tensor([q])) - image).square().mean()) for q in (5, 50, 100)]
    assert losses[0] > 2 * losses[1] > 4 * losses[2] > 0


@pytest.mark.parametrize("size", [(1, 1), (15, 33), (96, 97)])
def test_sides_need_not_divide_by_anything(size: tuple[int, int]) -> None:
    image = torch.full((2, 3, *size), 0.5)
    found = jpeg(image, torch.tensor([30, 95]))
    torch.testing.assert_close(found, image, atol=0.02, rtol=0)  # gray 127.5 falls between steps


def test_borders_of_odd_pictures_do_not_darken() -> None:
    white = torch.ones(1, 3, 17, 17)
    torch.testing.assert_close(jpeg(white, torch.tensor([60])), white, atol=0.02, rtol=0)


def test_files_come_back_with_size_and_type_kept() -> None:
    pixels = photo("coffee")  # 97 wide
    found = jpeg_file(pixels, 90)
    assert found.shape == pixels.shape
    assert found.dtype == np.uint8
    assert 0 < np.abs(found.astype(int) - pixels).mean() < 6


@pytest.mark.parametrize("quality", [[50.0], [50.0, 50.0, 50.0], [50.0, 0.5], [50.0, 101.0]])
def test_qualities_that_do_not_fit_are_refused(quality: list[float]) -> None:
    with pytest.raises(ValueError, match="one from 1 to 100 for each of 2 pictures"):
        jpeg(torch.zeros(2, 3, 16, 16), torch.tensor(quality))
