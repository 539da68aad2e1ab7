"""diffir data check: what a user reads of a set that is wrong as a whole."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from diffir.cli.app import app
from diffir.cli.data.check import SHOWN


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["data", "check", *words])


def small_pictures(count: int) -> None:
    Path("set").mkdir()
    for number in range(count):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(f"set/{number:03d}.png")


def test_of_many_alike_problems_some_are_told_and_all_are_counted_and_reported() -> None:
    small_pictures(SHOWN + 5)
    result = run("set", "--crop", "9", "--json", "report.json")
    assert result.exit_code == 2
    assert result.stderr.count("too small: set/") == SHOWN
    assert "too small: 5 more, listed by --json" in result.stderr
    assert f"{SHOWN + 5}" in result.stdout
    assert len(json.loads(Path("report.json").read_text())) == SHOWN + 5


def test_few_problems_are_all_told() -> None:
    small_pictures(SHOWN)
    result = run("set", "--crop", "9")
    assert result.stderr.count("too small: set/") == SHOWN
    assert "more" not in result.stderr
