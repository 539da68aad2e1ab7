"""Blur kernels equal the field's, keep the mean, and are drawn from the ranges asked for."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from diffir.data.draws import generator
from diffir.data.kernels import (
    KernelSettings,
    draw_beta,
    draw_kernel,
    fast_length,
    filter2d,
    gaussian_kernel,
    mirrored,
    plateau_kernel,
    sinc_kernel,
    stack_kernels,
)

REFERENCE = Path(__file__).parent / "degradations.npz"
PICTURES = Path(__file__).parents[1] / "parity" / "pictures.npz"
SHAPES = {
    "gaussian_iso": lambda size: gaussian_kernel(size, (1.7, 1.7)),
    "gaussian_aniso": lambda size: gaussian_kernel(size, (2.3, 0.9), 0.6),
    "generalized_aniso": lambda size: gaussian_kernel(size, (2.3, 0.9), 0.6, 1.5),
    "plateau_aniso": lambda size: plateau_kernel(size, (2.3, 0.9), 0.6, 1.5),
    "sinc": lambda size: sinc_kernel(size, math.pi / 2.2),
}


def astronaut(dtype: torch.dtype = torch.float32) -> Tensor:
    with np.load(PICTURES) as file:
        return torch.from_numpy(file["astronaut__rgb"]).to(dtype).permute(2, 0, 1)[None] / 255


def drawn(count: int = 200, **settings: Any) -> list[Tensor]:
    """Kernels of settings that differ from the published in the fields given."""
    draw = np.random.default_rng(0)
    return [draw_kernel(KernelSettings(**settings), draw) for _ in range(count)]


def only(kind: str) -> dict[str, Any]:
    return {"odds": {kind: 1.0}, "sinc_probability": 0}


@pytest.mark.parametrize("size", [7, 13, 21])
@pytest.mark.parametrize("shape", SHAPES)
def test_kernels_equal_the_reference(shape: str, size: int) -> None:
    with np.load(REFERENCE) as file:
        wanted = file[f"kernel__{shape}_{size}"]
    np.testing.assert_allclose(SHAPES[shape](size), wanted, atol=1e-7)  # the reference is float32


def test_filtering_equals_the_reference() -> None:
    with np.load(REFERENCE) as file:
        wanted = file["filter2d__astronaut_gaussian_aniso_21"]
    found = filter2d(astronaut(), gaussian_kernel(21, (2.3, 0.9), 0.6)[None])
    np.testing.assert_allclose(found, wanted, atol=1e-6)  # float32: another order of sums


def test_every_kernel_keeps_the_mean() -> None:
    for kernel in drawn():
        assert float(kernel.sum()) == pytest.approx(1, abs=1e-12)


def test_a_constant_picture_stays_constant_up_to_its_borders() -> None:
    images = torch.full((20, 3, 24, 30), 0.3, dtype=torch.float64)
    found = filter2d(images, stack_kernels(drawn(20), 21))
    torch.testing.assert_close(found, images)


def test_every_picture_is_filtered_by_its_own_kernel() -> None:
    images = torch.rand(4, 3, 25, 31, generator=torch.Generator().manual_seed(0)).double()
    kernels = drawn(4)
    pairs = zip(images, kernels, strict=True)
    singles = [filter2d(image[None], kernel[None]) for image, kernel in pairs]
    torch.testing.assert_close(filter2d(images, stack_kernels(kernels, 21)), torch.cat(singles))


@pytest.mark.parametrize("side", [37, 64, 150])
def test_a_picture_is_filtered_alike_in_any_batch_and_on_any_number_of_threads(side: int) -> None:
    images = torch.rand(16, 3, side, side + 5, generator=torch.Generator().manual_seed(0))
    kernels = stack_kernels(drawn(16), 21).float()
    together = filter2d(images, kernels)
    threads = torch.get_num_threads()
    try:
        for count, some in ((1, 1), (3, 2), (8, 1), (16, 2)):
            torch.set_num_threads(some)
            assert torch.equal(filter2d(images[:count], kernels[:count]), together[:count])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(("least", "wanted"), [(1, 1), (7, 8), (97, 100), (293, 300), (4096, 4096)])
def test_spectra_have_lengths_of_small_factors(least: int, wanted: int) -> None:
    assert fast_length(least) == wanted


def test_lines_shorter_than_the_margin_are_mirrored_again_and_again() -> None:
    wanted = [1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert mirrored(4, 5, torch.device("cpu")).tolist() == wanted


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (4, 30)])
def test_pictures_may_be_smaller_than_the_kernel(size: tuple[int, int]) -> None:
    image = torch.full((1, 3, *size), 0.7)
    torch.testing.assert_close(filter2d(image, gaussian_kernel(21, (9, 9))[None]), image)


def test_sides_are_all_odd_numbers_of_the_range() -> None:
    assert {len(kernel) for kernel in drawn()} == {7, 9, 11, 13, 15, 17, 19, 21}


@pytest.mark.parametrize("kind", ["gaussian", "generalized", "plateau"])
def test_isotropic_kernels_are_round_and_anisotropic_ones_are_not(kind: str) -> None:
    for kernel in drawn(20, **only(f"{kind}_iso")):
        torch.testing.assert_close(kernel, kernel.rot90())
    stretched = drawn(20, **only(f"{kind}_aniso"))
    assert sum(not torch.allclose(kernel, kernel.rot90(), atol=1e-4) for kernel in stretched) > 10


def spread(kernel: Tensor) -> float:
    """Standard deviation of a round kernel along one axis."""
    line = torch.arange(len(kernel)) - len(kernel) // 2
    return float((kernel.sum(0) * line.square()).sum().sqrt())


def test_sigma_is_drawn_between_its_ends() -> None:
    found = [spread(k) for k in drawn(sigma=(0.8, 1.6), sizes=(21, 21), **only("gaussian_iso"))]
    assert 0.8 <= min(found) < 0.85
    assert 1.55 < max(found) <= 1.6


@pytest.mark.parametrize(
    ("kind", "field", "shape"),
    [
        ("generalized_iso", "generalized_beta", gaussian_kernel),
        ("plateau_iso", "plateau_beta", plateau_kernel),
    ],
)
def test_beta_is_drawn_between_its_ends(kind: str, field: str, shape: Any) -> None:
    settings = {field: (0.7, 1.8), "sigma": (2, 2), "sizes": (9, 9)}
    peaks = [float(kernel[4, 4]) for kernel in drawn(**settings, **only(kind))]
    ends = [float(shape(9, (2, 2), beta=beta)[4, 4]) for beta in (0.7, 1.8)]
    assert min(ends) <= min(peaks) < max(peaks) <= max(ends)
    assert max(peaks) - min(peaks) > 0.8 * (max(ends) - min(ends))


@pytest.mark.parametrize(
    ("span", "shares"), [((0.5, 4), (0.5, 0.5)), ((1, 2), (0, 0.5)), ((2, 3), (0, 1))]
)
def test_shapes_lie_on_either_side_of_the_gaussians_equally_often(
    span: tuple[float, float], shares: tuple[float, float]
) -> None:
    draw = np.random.default_rng(0)
    betas = np.array([draw_beta(span, draw) for _ in range(2000)])
    assert span[0] <= betas.min() < betas.max() <= span[1]
    assert ((betas < 1).mean(), (betas > 1).mean()) == pytest.approx(shares, abs=0.05)


@pytest.mark.parametrize(("size", "lowest"), [(11, math.pi / 3), (13, math.pi / 5)])
def test_large_sinc_kernels_may_cut_off_lower(size: int, lowest: float) -> None:
    def width(kernel: Tensor) -> float:  # the main lobe's peak falls with the cutoff
        return float(kernel.max())

    found = [width(k) for k in drawn(sizes=(size, size), sinc_probability=1)]
    ends = [width(sinc_kernel(size, cutoff)) for cutoff in (lowest, math.pi)]
    assert min(found) == pytest.approx(ends[0], rel=0.1)
    assert max(found) == pytest.approx(ends[1], rel=0.1)
    assert all(kernel.min() < 0 for kernel in drawn(5, sizes=(size, size), sinc_probability=1))


def test_one_kernel_in_ten_rings() -> None:
    share = np.mean([bool((kernel < 0).any()) for kernel in drawn(500)])
    assert share == pytest.approx(0.1, abs=0.03)


def test_the_same_seed_draws_the_same_kernels() -> None:
    assert all(map(torch.equal, drawn(20), drawn(20)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sizes": (7, 20)},
        {"sizes": (9, 7)},
        {"sigma": (3, 0.2)},
        {"sigma": (0, 1)},
        {"odds": {"gaussian_iso": 0}},
        {"odds": {"gaussian_iso": -1, "gaussian_aniso": 2}},
        {"odds": {"square": 1}},
        {"sinc_probability": 1.1},
    ],
)
def test_settings_that_cannot_be_drawn_from_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KernelSettings(**wrong)


@pytest.mark.parametrize("shape", [(3, 7, 7), (2, 8, 8), (2, 7, 9), (7, 7)])
def test_kernels_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one odd square for each of 2 pictures"):
        filter2d(torch.zeros(2, 3, 16, 16), torch.ones(shape))


def test_how_a_kernel_lies_is_told() -> None:
    settings = KernelSettings(sizes=(21, 21), odds={"gaussian_aniso": 1}, sinc_probability=0)
    for index in range(6):
        draw = generator((0,), "kernel", index)
        kernel = draw_kernel(settings, draw)
        line = torch.arange(21, dtype=torch.float64) - 10
        y, x = torch.meshgrid(line, line, indexing="ij")
        xx, yy, xy = ((kernel * part).sum() for part in (x * x, y * y, x * y))
        angle = math.degrees(0.5 * math.atan2(2 * xy, xx - yy)) % 180
        told = float(draw.facts["blur_angle"])
        assert min(abs(told - angle), 180 - abs(told - angle)) < 5
        assert 0 < float(draw.facts["blur_length"]) < 2.8
