"""The learning-rate range test: rates grow evenly, it ends where training breaks, and it warns."""

import math
from pathlib import Path

import pytest

from diffir.errors import RecipeError
from diffir.presets import RECIPES, Preset, choose
from diffir.training.order import Order
from diffir.training.rate_range import RateRange, broken, growing, rate_range_of
from trainer import run_in

TOY = RECIPES["toy-sr"]


def ranged(folder: Path, phase: str = "stage1", preset: Preset = TOY, **span: float) -> RateRange:
    order = Order(preset=preset, data=("dead-leaves",), folder=folder)
    options = {"low": 1e-5, "high": 1e-1, "steps": 30, **span}
    return rate_range_of(order, phase, run_in(folder), **options)


def test_rates_grow_by_the_same_factor() -> None:
    rates = growing(1e-4, 1e-1, 4)
    assert rates == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])


def test_the_loss_turns_within_the_range_and_the_suggestion_keeps_a_margin(tmp_path: Path) -> None:
    found = ranged(tmp_path)
    assert found.rates[0] == pytest.approx(1e-5)
    assert min(found.losses) < 0.8 * found.losses[0]
    assert found.turning is not None
    assert found.rates[0] < found.turning < 1e-1
    assert found.suggested == pytest.approx(found.turning / 10)


def test_it_ends_where_training_breaks(tmp_path: Path) -> None:
    found = ranged(tmp_path, low=1e-3, high=1e4)
    assert len(found.rates) == len(found.losses) < 30
    assert all(math.isfinite(loss) for loss in found.losses)


def test_a_loss_below_0_turns_where_l1_does_and_then_breaks(tmp_path: Path) -> None:
    span: dict[str, float] = {"low": 1e-4, "high": 1e2}
    in_dB = ranged(tmp_path, preset=choose(RECIPES, "toy-sr", ["pixel_loss=psnr"]), **span)
    assert min(in_dB.losses) < in_dB.losses[0] < 0
    assert 10 < len(in_dB.losses) < 30
    l1 = ranged(tmp_path, **span)
    assert l1.turning is not None
    assert in_dB.turning is not None
    assert l1.turning / 10 < in_dB.turning < 10 * l1.turning


def seen(*losses: float) -> RateRange:
    return RateRange(rates=tuple(growing(1e-5, 1e-1, len(losses))), losses=losses)


def test_the_luck_of_the_first_batches_is_not_where_the_loss_turns() -> None:
    lucky = seen(0.1, *[0.5] * 10, 0.4, 0.3, 0.4, 0.6)
    assert lucky.turning == lucky.rates[12]
    assert lucky.suggested == pytest.approx(lucky.rates[12] / 10)


@pytest.mark.parametrize("losses", [[0.5] * 10 + [0.6, 0.7, 0.8], [0.5, 0.4, 0.3]])
def test_a_loss_that_only_rises_or_is_too_short_suggests_no_rate(losses: list[float]) -> None:
    assert seen(*losses).turning is seen(*losses).suggested is None


def test_a_loss_breaks_above_what_it_gained_or_its_own_size_once_it_has_settled() -> None:
    assert not broken(0.0, [-0.1, -0.2] * 5)
    assert broken(0.3, [-0.1, -0.2] * 5)
    assert not broken(0.5, [0.3, 0.2] * 5)
    assert broken(0.7, [0.3, 0.2] * 5)  # three times the least
    assert not broken(1.5, [1.0, 0.01] * 5)
    assert not broken(1.0, [0.001])


def test_nothing_is_written_into_the_folder(tmp_path: Path) -> None:
    ranged(tmp_path, steps=3)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("phase", "span", "sentence"),
    [
        ("stage2", {}, "phase 'stage2' found; toy-sr has stage1, prior, joint, finetune"),
        ("joint", {}, "has no stage-1 teacher"),
        ("stage1", {"low": 1.0}, "rates from 1 to 0.1 in 30 steps found; they must rise"),
        ("stage1", {"steps": 1}, "in 1 steps found"),
    ],
)
def test_what_does_not_fit_is_a_sentence(
    tmp_path: Path, phase: str, span: dict[str, float], sentence: str
) -> None:
    with pytest.raises(RecipeError, match=sentence):
        ranged(tmp_path, phase, **span)
