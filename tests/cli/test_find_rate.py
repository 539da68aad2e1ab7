"""diffir find-rate tells a rate that training can be given."""

import re
from typing import Any

import pytest
from typer.testing import CliRunner

from diffir.cli.app import app
from diffir.presets import RECIPES, choose
from diffir.training.rate_range import RateRange, growing

WORDS = ["find-rate", "toy-sr", "--data", "dead-leaves", "--threads", "1"]


def test_what_it_suggests_can_be_set() -> None:
    result = CliRunner().invoke(app, [*WORDS, "--low", "1e-5", "--steps", "30"])
    assert result.exit_code == 0, result.output
    assert result.output.count("loss") >= 12
    lowest = re.search(r"the loss is lowest at (\S+);", result.output)
    suggested = re.search(r"\(--set (\S+)\)", result.output)
    assert lowest is not None
    assert suggested is not None
    recipe = choose(RECIPES, "toy-sr", [suggested[1]]).recipe
    assert recipe is not None
    assert recipe.stage1 is not None
    assert recipe.stage1.learning_rate == pytest.approx(float(lowest[1]) / 10, rel=0.05)
    assert 1e-5 < float(lowest[1]) < 1e-1


def test_a_loss_that_only_rises_gives_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = tuple(0.1 + 0.01 * step for step in range(20))

    def risen(*_: object, low: float, high: float, **__: Any) -> RateRange:
        return RateRange(rates=tuple(growing(low, high, 20)), losses=losses)

    monkeypatch.setattr("diffir.training.rate_range.rate_range_of", risen)
    result = CliRunner().invoke(app, WORDS)
    assert result.exit_code == 0, result.output
    assert "the loss only rises, so no rate is suggested; lower --low, or use" in result.output
    assert "--set" not in result.output


def test_a_mistake_is_a_sentence() -> None:
    result = CliRunner().invoke(app, [*WORDS, "--phase", "all"])
    assert result.exit_code == 2
    assert "phase 'all' found" in result.output
