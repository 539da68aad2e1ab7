"""diffir find-rate tells a rate that training can be given."""

import re

from typer.testing import CliRunner

from diffir.cli.app import app
from diffir.presets import RECIPES, choose


def test_what_it_suggests_can_be_set() -> None:
    words = ["find-rate", "toy-sr", "--data", "dead-leaves", "--steps", "12", "--threads", "1"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    suggested = re.search(r"\(--set (\S+)\)", result.output)
    assert suggested is not None
    recipe = choose(RECIPES, "toy-sr", [suggested[1]]).recipe
    assert recipe is not None
    assert recipe.stage1 is not None
    assert 1e-7 <= recipe.stage1.learning_rate <= 1e-2
    assert result.output.count("loss") >= 12


def test_a_mistake_is_a_sentence() -> None:
    words = ["find-rate", "toy-sr", "--data", "dead-leaves", "--phase", "all"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "phase 'all' found" in result.output
