"""The second-order degradation: repeatable, within its ranges, every branch reachable."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from diffir.data import Draws, second_order
from diffir.data.jpeg import dct_matrix
from diffir.data.second_order import (
    MILD,
    PUBLISHED,
    Round,
    SecondOrder,
    add_noise,
    blur_kernel,
    final_kernel,
    resize_factor,
    sharpen,
)

REFERENCE = Path(__file__).parent / "degradations.npz"
PICTURES = Path(__file__).parents[1] / "parity" / "pictures.npz"
CLEAN: dict[str, Any] = {
    "blur_probability": 0,
    "resize_odds": {"keep": 1},
    "gaussian_probability": 1,
    "gaussian_sigma": (0, 0),
    "jpeg_quality": (100, 100),
}
"""A round that does next to nothing."""


def photos() -> Tensor:
    """(3, 3, 88, 96)."""
    with np.load(PICTURES) as file:
        crops = [file[f"{name}__rgb"][:88, :96] for name in ("astronaut", "chelsea", "coffee")]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def degrade(
    gt: Tensor, scale: int, settings: SecondOrder, seed: tuple[int, ...], first: int = 0
) -> Tensor:
    """LQ of the pictures from the `first` on in the global batch of a seed."""
    draws = Draws(seed, tuple(range(first, first + len(gt))))
    return second_order.degrade(gt, scale, settings, draws)[0]


def clean_but(first: dict[str, Any] | None = None, **settings: Any) -> SecondOrder:
    """Two clean rounds but for the given settings of the first, and of the whole."""
    quiet = {"final_sinc_probability": 0}
    rounds = {"first": Round(**{**CLEAN, **(first or {})}), "second": Round(**CLEAN)}
    return SecondOrder(**{**rounds, **quiet, **settings})


def loss(settings: SecondOrder, scale: int = 1) -> float:
    """How far the photos end from what they were."""
    gt = photos()
    return float((degrade(gt, scale, settings, (0,)) - gt).abs().mean())


def test_sharpening_equals_the_reference() -> None:
    with np.load(PICTURES) as file:
        rgb = torch.from_numpy(file["astronaut__rgb"]).permute(2, 0, 1)[None].float() / 255
    with np.load(REFERENCE) as file:
        wanted = file["usm__astronaut"]
    np.testing.assert_allclose(sharpen(rgb), wanted, atol=1e-6)  # float32: another order of sums


def test_sharpening_leaves_faint_detail_alone() -> None:
    faint = 0.5 + 0.03 * torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(sharpen(faint), faint)


@pytest.mark.parametrize("settings", [PUBLISHED, MILD])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_lq_is_gt_over_scale_in_steps_of_8_bit(settings: SecondOrder, scale: int) -> None:
    for step in range(4):
        lq = degrade(photos(), scale, settings, (0, step))
        assert lq.shape == (3, 3, 88 // scale, 96 // scale)
        assert lq.dtype == torch.float32
        assert 0 <= float(lq.min()) <= float(lq.max()) <= 1
        torch.testing.assert_close(lq * 255, (lq * 255).round(), atol=1e-4, rtol=0)


def test_the_same_seed_gives_the_same_bits_and_another_others() -> None:
    first, again, other = (
        degrade(photos(), 2, PUBLISHED, seed) for seed in ((1, 2), (1, 2), (1, 3))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_global_generators_are_neither_read_nor_moved() -> None:
    before = torch.get_rng_state()
    first = degrade(photos(), 2, PUBLISHED, (1,))
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(7)
    assert torch.equal(first, degrade(photos(), 2, PUBLISHED, (1,)))


def test_a_picture_does_not_depend_on_the_rest_of_its_batch_by_a_bit() -> None:
    for seed in range(6):
        whole = degrade(photos(), 2, PUBLISHED, (seed,))
        apart = [degrade(photos()[i : i + 1], 2, PUBLISHED, (seed,), first=i) for i in range(3)]
        assert torch.equal(whole, torch.cat(apart))


def test_kernels_have_one_size_whatever_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For sums of another size are added up in another order."""
    sides, real = set(), second_order.filter2d

    def spy(images: Tensor, kernels: Tensor) -> Tensor:
        sides.add(tuple(kernels.shape[1:]))
        return real(images, kernels)

    monkeypatch.setattr(second_order, "filter2d", spy)
    for seed in range(8):
        degrade(photos()[:1], 2, PUBLISHED, (seed,))
    assert sides == {(21, 21)}


def test_pictures_of_a_batch_are_spoiled_differently() -> None:
    lq = degrade(photos()[:1].expand(3, -1, -1, -1), 2, PUBLISHED, (1,))
    assert not torch.equal(lq[0], lq[1])
    assert not torch.equal(lq[1], lq[2])


def test_rounds_without_anything_to_do_change_next_to_nothing() -> None:
    assert loss(clean_but()) < 0.01  # chroma of JPEG is halved even at quality 100


@pytest.mark.parametrize(
    "first",
    [
        {"blur_probability": 1},
        {"resize_odds": {"down": 1}},
        {"resize_odds": {"up": 1}},
        {"gaussian_sigma": (20, 20)},
        {"gaussian_probability": 0, "poisson_scale": (2, 2)},
        {"gaussian_probability": 0, "poisson_scale": (2, 2), "gray_probability": 1},
        {"jpeg_quality": (30, 30)},
    ],
)
def test_each_step_of_a_round_spoils(first: dict[str, Any]) -> None:
    baseline, spoiled_first = loss(clean_but()), loss(clean_but(first))
    spoiled_second = loss(clean_but(second=Round(**{**CLEAN, **first})))
    assert spoiled_first > baseline + 1e-3
    assert spoiled_second > baseline + 1e-3


def test_the_last_sinc_rings() -> None:
    assert loss(clean_but(final_sinc_probability=1)) > loss(clean_but()) + 1e-3


def test_the_last_jpeg_comes_before_or_after_the_last_sinc() -> None:
    strong = Round(**{**CLEAN, "jpeg_quality": (10, 10)})
    last, before = (
        degrade(
            photos(),
            1,
            clean_but(second=strong, final_sinc_probability=1, jpeg_last_probability=probability),
            (0,),
        )
        for probability in (1, 0)
    )
    assert not torch.equal(last, before)
    # Coefficients of blocks are zero where JPEG came last; rings of the sinc would fill them.
    assert empty_coefficients(last) > empty_coefficients(before) + 0.1


def empty_coefficients(images: Tensor) -> float:
    """Share of next to empty coefficients of brightness."""
    y = (images * images.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1) * 255
    blocks = y[:, :, :96].unfold(1, 8, 8).unfold(2, 8, 8)  # (B, y, x, 8, 8)
    dct = dct_matrix().float()
    return float(((dct @ blocks @ dct.T).abs() < 2).float().mean())


def test_jpeg_is_transposed_as_published_or_as_files_have_it() -> None:
    strong = {"jpeg_quality": (30, 30)}
    published, files = (
        degrade(photos(), 1, clean_but(strong, transpose_luma=swap), (0,)) for swap in (True, False)
    )
    assert not torch.equal(published, files)
    assert PUBLISHED.transpose_luma


def test_jpeg_may_be_that_of_files() -> None:
    strong = {"jpeg_quality": (30, 30)}
    files, tensors = (
        degrade(photos(), 1, clean_but(strong, transpose_luma=False, jpeg_files=files), (0,))
        for files in (True, False)
    )
    assert 0 < float((files - tensors).abs().mean()) < 0.01
    assert not torch.equal(files, photos())


@pytest.mark.parametrize(
    ("odds", "lowest", "highest"), [("up", 1, 1.5), ("down", 0.15, 1), ("keep", 1, 1)]
)
def test_resize_factors_fill_their_range(odds: str, lowest: float, highest: float) -> None:
    draw = np.random.default_rng(0)
    settings = Round(resize_odds={odds: 1.0})
    found = [resize_factor(settings, draw) for _ in range(200)]
    assert lowest <= min(found) <= lowest + 0.02
    assert highest - 0.02 <= max(found) <= highest


def test_all_kinds_of_interpolation_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    interpolate = second_order.F.interpolate

    def spy(images: Tensor, size: tuple[int, int], mode: str) -> Tensor:
        seen.add(mode)
        return interpolate(images, size=size, mode=mode)

    monkeypatch.setattr(second_order.F, "interpolate", spy)
    for step in range(6):
        degrade(photos()[:1], 2, PUBLISHED, (step,))
    assert seen == {"area", "bilinear", "bicubic"}


@pytest.mark.parametrize("gray", [0, 1])
@pytest.mark.parametrize("gaussian", [0, 1])
def test_noise_has_the_strength_and_the_colour_asked_for(gaussian: int, gray: int) -> None:
    settings = Round(
        gaussian_probability=gaussian,
        gaussian_sigma=(12, 12),
        poisson_scale=(1, 1),
        gray_probability=gray,
    )
    noise = (
        add_noise(torch.full((3, 64, 64), 0.5), settings, np.random.default_rng(0)) - 0.5
    ) * 255
    wanted = 12 if gaussian else np.sqrt(127.5)  # σ of Poisson is the root of its mean
    assert float(noise.std()) == pytest.approx(wanted, rel=0.05)
    assert abs(float(noise.mean())) < 0.5
    assert torch.allclose(noise[0], noise[2], atol=1e-3) == bool(gray)


def test_noise_levels_fill_their_range() -> None:
    draw, gray = np.random.default_rng(0), torch.full((3, 32, 32), 0.5)
    settings = Round(gaussian_probability=1, gaussian_sigma=(1, 30), gray_probability=0)
    levels = [float((add_noise(gray, settings, draw) - 0.5).std()) * 255 for _ in range(100)]
    assert 0.9 < min(levels) < 2
    assert 28 < max(levels) < 31


def test_jpeg_qualities_fill_their_range(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def spy(images: Tensor, quality: Tensor, **_: Any) -> Tensor:
        seen.extend(quality.tolist())
        return images

    monkeypatch.setattr(second_order, "jpeg", spy)
    degrade(torch.zeros(150, 3, 8, 8), 1, PUBLISHED, (0,))
    assert len(seen) == 300
    assert 30 <= min(seen) < 31
    assert 94 < max(seen) <= 95


def test_a_blur_can_be_left_out() -> None:
    draw = np.random.default_rng(0)
    blurs = [len(blur_kernel(PUBLISHED.second, draw)) for _ in range(300)]
    sincs = [len(final_kernel(PUBLISHED, draw)) for _ in range(300)]
    for sides in (blurs, sincs):
        assert np.mean(np.array(sides) == 1) == pytest.approx(0.2, abs=0.06)
        assert set(sides) == {1, 7, 9, 11, 13, 15, 17, 19, 21}


def test_the_mild_variant_spoils_less() -> None:
    gt = photos()
    published, mild = (
        np.mean([float((degrade(gt, 1, s, (i,)) - gt).abs().mean()) for i in range(6)])
        for s in (PUBLISHED, MILD)
    )
    assert mild < 0.7 * published


@pytest.mark.parametrize(
    ("gt", "scale"),
    [
        (torch.zeros(1, 3, 30, 32), 4),
        (torch.zeros(1, 4, 32, 32), 4),
        (torch.zeros(3, 32, 32), 4),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), 4),
    ],
)
def test_gt_that_does_not_fit_is_a_sentence(gt: Tensor, scale: int) -> None:
    with pytest.raises(ValueError, match="divisible by 4"):
        degrade(gt, scale, PUBLISHED, (0,))


@pytest.mark.parametrize(
    "wrong",
    [
        {"resize": (1.1, 1.5)},
        {"jpeg_quality": (0, 50)},
        {"jpeg_quality": (95, 30)},
        {"gaussian_sigma": (-1, 3)},
        {"blur": 1},
    ],
)
def test_settings_that_contradict_themselves_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Round(**wrong)


def test_settings_survive_json() -> None:
    assert SecondOrder.model_validate_json(MILD.model_dump_json()) == MILD


def test_gt_may_be_sharpened_and_the_plain_one_kept() -> None:
    settings = SecondOrder(sharpen_gt=True, context=0)
    batch = settings.batch(photos(), 2, Draws((1,), (0, 1, 2)))
    assert batch.plain_gt is not None
    assert torch.equal(batch.plain_gt, photos())
    assert torch.equal(batch.gt, sharpen(photos()))
    assert torch.equal(batch.lq, degrade(batch.gt, 2, settings, (1,)))  # the sharp one is degraded


def test_the_context_is_degraded_with_the_crop_and_cut_off() -> None:
    settings = SecondOrder(context=15)
    assert settings.margin(4) == 16
    batch = settings.batch(photos(), 4, Draws((1,), (0, 1, 2)))
    assert torch.equal(batch.gt, photos()[..., 16:-16, 16:-16])
    assert torch.equal(batch.lq, degrade(photos(), 4, settings, (1,))[..., 4:-4, 4:-4])


def test_what_was_drawn_is_told_of_each_picture() -> None:
    facts = PUBLISHED.batch(photos().repeat(1, 1, 2, 2), 4, Draws((1,), (0, 1, 2))).facts
    assert len({fact["jpeg_quality"] for fact in facts}) == 3
    assert len({fact["resize"] for fact in facts}) == 1  # drawn once for the batch
    for fact in facts:
        assert {"blur", "blur_sigma", "noise", "noise_sigma", "jpeg_quality"} <= set(fact)
        assert {"blur_2", "blur_sigma_2", "noise_2", "jpeg_quality_2", "final_sinc"} <= set(fact)
