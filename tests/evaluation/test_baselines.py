"""Baselines: against scikit-image, Pillow and OpenCV, and what they promise."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data, filters, restoration
from torch import Tensor

from diffir.data import imresize
from diffir.data.motion import blur
from diffir.errors import MissingLibraryError
from diffir.evaluation import psnr
from diffir.evaluation.baselines import (
    ENLARGEMENTS,
    FILLINGS,
    LAPLACIAN,
    bicubic,
    biharmonic,
    lanczos,
    navier_stokes,
    nearest,
    richardson_lucy,
    richardson_lucy_on_torus,
    telea,
    transfer,
    unsharp_mask,
    wiener,
    wiener_on_torus,
)


def photo(side: int = 96) -> Tensor:
    pixels = data.astronaut()[:side, 180 : 180 + side].copy()
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def crooked() -> Tensor:
    """A kernel that looks different from every side."""
    kernel = torch.zeros(7, 7)
    kernel[3, 1:6] = 1
    kernel[2, 5] = 2
    return kernel / kernel.sum()


def hole(side: int = 96) -> Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., 30:40, 50:58] = 1
    return mask


@pytest.mark.parametrize("name", ENLARGEMENTS)
@pytest.mark.parametrize("scale", [2, 3])
def test_an_enlargement_keeps_a_plain_picture_and_the_range(name: str, scale: int) -> None:
    enlarge = ENLARGEMENTS[name]
    plain = torch.rand(2, 3, 1, 1).expand(2, 3, 9, 7)
    found = enlarge(plain, scale)
    assert found.shape == (2, 3, 9 * scale, 7 * scale)
    torch.testing.assert_close(found, plain[..., :1, :1].expand(found.shape), rtol=0, atol=1e-6)
    checks = (
        (torch.arange(12)[:, None] + torch.arange(12)).remainder(2).float().expand(1, 3, 12, 12)
    )
    assert 0 <= enlarge(checks, scale).min() <= enlarge(checks, scale).max() <= 1


def test_enlargements_are_what_their_names_say() -> None:
    lq = photo(24)
    torch.testing.assert_close(
        nearest(lq, 3), torch.nn.functional.interpolate(lq, scale_factor=3, mode="nearest")
    )
    torch.testing.assert_close(bicubic(lq, 2), imresize(lq, 2).clamp(0, 1), rtol=0, atol=0)
    pixels = (lq[0] * 255).byte().permute(1, 2, 0).numpy()
    wanted = Image.fromarray(pixels).resize((96, 96), Image.Resampling.LANCZOS)
    found = lanczos(lq, 4)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(found - np.asarray(wanted)).max() < 1.5  # it rounds twice, in 8 bits


def test_unsharp_masking_is_scikit_images_inside() -> None:
    lq = photo()
    wanted = filters.unsharp_mask(lq[0].double().numpy(), 1.5, 1, channel_axis=0)
    found = unsharp_mask(lq)[0].numpy()
    inside = np.s_[:, 8:-8, 8:-8]  # they reflect borders in another way
    np.testing.assert_allclose(found[inside], wanted[inside], atol=1e-5)


def test_wiener_is_scikit_images_on_a_torus() -> None:
    image, kernel = photo()[0, 0].double(), crooked().double()
    # Theirs squares the regulariser, which is the length of the gradient: |∇|² = −Δ
    gradient = transfer(torch.tensor(LAPLACIAN), image).real.clamp_min(0).sqrt().numpy()
    wanted = restoration.wiener(
        image.numpy(), kernel.numpy(), 1e-2, reg=gradient.astype(complex), clip=False
    )
    found = wiener_on_torus(image[None, None], kernel, 1e-2)
    np.testing.assert_allclose(found[0, 0], wanted, atol=1e-9)


def test_richardson_lucy_is_scikit_images_where_nothing_reaches_the_border() -> None:
    image, kernel = torch.zeros(64, 64).double(), crooked().double()
    image[20:44, 20:44] = photo(24)[0, 0].double()
    image = blur(image[None, None].float(), kernel.float()).double()
    wanted = restoration.richardson_lucy(image[0, 0].numpy(), kernel.numpy(), 10, clip=False)
    found = richardson_lucy_on_torus(image, kernel, 10)[0, 0]
    inside = np.s_[20:44, 20:44]
    np.testing.assert_allclose(found[inside], wanted[inside], atol=1e-6)


@pytest.mark.parametrize("restore", [wiener, richardson_lucy])
def test_a_known_blur_is_mostly_undone_up_to_the_borders(restore) -> None:
    gt, kernel = photo(), crooked()
    lq = blur(gt, kernel)
    found = restore(lq, kernel)
    assert float(psnr(found, gt)) > float(psnr(lq, gt)) + 4
    assert float(psnr(found, gt)) > float(psnr(restore(lq, kernel.flip(0, 1)), gt)) + 6
    rim = torch.ones(1, 1, 96, 96)
    rim[..., 8:-8, 8:-8] = 0
    assert float(psnr(found, gt, mask=rim)) > float(psnr(lq, gt, mask=rim)) + 2
    assert found.dtype == lq.dtype
    assert 0 <= found.min() <= found.max() <= 1


@pytest.mark.parametrize("restore", [wiener, richardson_lucy])
def test_a_kernel_of_one_pixel_and_small_pictures_do_no_harm(restore) -> None:
    found = restore(photo(), torch.ones(1, 1))
    assert float(psnr(found, photo())) > 40
    assert restore(photo(5), crooked()).shape == (1, 3, 5, 5)


@pytest.mark.parametrize("name", FILLINGS)
def test_a_filling_changes_the_hole_alone_and_beats_leaving_it(name: str) -> None:
    pytest.importorskip("cv2" if name != "biharmonic" else "skimage")
    gt = 0.97 * photo().repeat(2, 1, 1, 1)  # between the steps of 8 bits
    mask = torch.cat([hole(), hole().flip(-1)])
    lq = gt * (1 - mask)
    found = FILLINGS[name](lq, mask)
    known = (mask == 0).expand_as(gt)
    assert torch.equal(found[known], gt[known])
    assert (psnr(found, gt, mask=mask) > psnr(lq, gt, mask=mask) + 6).all()


def test_a_smooth_ramp_is_filled_exactly_by_the_biharmonic_one() -> None:
    ramp = torch.linspace(0.2, 0.8, 40).expand(1, 3, 40, 40)
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 10:20, 15:25] = 1
    torch.testing.assert_close(biharmonic(ramp * (1 - mask), mask), ramp, rtol=0, atol=1e-4)


def test_the_two_of_opencv_differ() -> None:
    pytest.importorskip("cv2")
    lq = photo() * (1 - hole())
    assert not torch.equal(telea(lq, hole()), navier_stokes(lq, hole()))


@pytest.mark.parametrize(("fill", "module"), [(telea, "cv2"), (biharmonic, "skimage.restoration")])
def test_a_missing_library_is_one_sentence(
    fill, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingLibraryError, match=f"{module}, .*diffir\\[evaluation\\]"):
        fill(photo(), hole())
