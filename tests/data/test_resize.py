"""Bicubic resizing equals MATLAB's imresize."""

from pathlib import Path

import numpy as np
import pytest
import torch

from diffir.data import imresize

REFERENCE = Path(__file__).parents[1] / "parity" / "pictures.npz"
PHOTOS = ["astronaut", "chelsea", "coffee"]
SCALES = {"0.5000": 1 / 2, "0.3333": 1 / 3, "0.2500": 1 / 4, "2.0000": 2, "3.0000": 3, "4.0000": 4}
ENLARGED_PART = (24, 28)  # what the reference enlarges


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize(("name", "scale"), SCALES.items())
def test_imresize_equals_matlab(photo: str, name: str, scale: float) -> None:
    with np.load(REFERENCE) as file:
        rgb, wanted = file[f"{photo}__rgb"], file[f"{photo}__imresize_{name}"]
    image = torch.from_numpy(rgb).double().permute(2, 0, 1)[None] / 255
    if scale > 1:
        image = image[..., : ENLARGED_PART[0], : ENLARGED_PART[1]]
    found = imresize(image, scale)[0].permute(1, 2, 0).numpy()
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=1e-6)  # the reference is float32


@pytest.mark.parametrize("scale", [0.13, 0.25, 0.5, 0.77, 1, 1.5, 4])
def test_a_constant_picture_stays_constant(scale: float) -> None:
    found = imresize(torch.full((2, 3, 17, 9), 0.3, dtype=torch.float64), scale)
    torch.testing.assert_close(found, torch.full_like(found, 0.3))


def test_batches_are_resized_picture_by_picture() -> None:
    images = torch.rand(3, 3, 20, 31, generator=torch.Generator().manual_seed(0))
    singles = torch.cat([imresize(image[None], 0.25) for image in images])
    assert torch.equal(imresize(images, 0.25), singles)


def test_a_scale_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        imresize(torch.zeros(1, 3, 8, 8), 0)
