"""diffir recipe prints what diffir train takes."""

import json
from dataclasses import asdict
from pathlib import Path

import yaml
from typer.testing import CliRunner

from diffir.cli.app import app
from diffir.presets import RECIPES, choose


def test_what_is_printed_can_be_trained_from(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["recipe", "deblur-lite", "--set", "seed=5"])
    assert result.exit_code == 0, result.output
    file = tmp_path / "mine.yaml"
    file.write_text(result.output, encoding="utf-8")
    assert choose(RECIPES, str(file)) == choose(RECIPES, "deblur-lite", ["seed=5"])


def test_a_mistake_is_a_sentence() -> None:
    result = CliRunner().invoke(app, ["recipe", "deblur-lite", "--set", "sed=5"])
    assert result.exit_code == 2
    assert "no setting 'sed'; did you mean seed" in result.output


def test_the_recipe_of_fine_tuning_is_that_of_the_network_it_is_given() -> None:
    result = CliRunner().invoke(app, ["recipe", "finetune", "--from", "sr-x4-lite"])
    assert result.exit_code == 0, result.output
    told = yaml.safe_load(result.output)
    assert told["network"] == json.loads(json.dumps(asdict(RECIPES["sr-x4-lite"].config)))
    assert told["preset"] == "finetune"
    assert told["stage1"] is None
    assert told["finetune"]["steps"] > 0
    alone = CliRunner().invoke(app, ["recipe", "finetune"])
    assert alone.exit_code == 2
    assert "finetune needs a network" in alone.output


def test_a_network_to_continue_is_only_for_fine_tuning() -> None:
    for words in (["toy-sr"], []):
        result = CliRunner().invoke(app, ["recipe", *words, "--from", "sr-x4-lite"])
        assert result.exit_code == 2
        assert "--from is only for the recipe finetune; leave it out" in result.output


def test_without_a_name_the_recipes_are_listed() -> None:
    result = CliRunner().invoke(app, ["recipe"])
    assert result.exit_code == 0
    assert all(f"\n {name} " in result.output for name in RECIPES)
