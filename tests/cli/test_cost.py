"""diffir cost: a row a model, as a table or JSON, and a sentence for every mistake."""

import json
from pathlib import Path

import pytest
from official import network, toy
from typer.testing import CliRunner, Result

from diffir.checkpoints import Checkpoint, format
from diffir.cli.app import app
from diffir.evaluation.cost import count
from diffir.presets import PRESETS


def call(*words: str) -> Result:
    """The command line in this process; whatever it did not expect is raised."""
    result = CliRunner().invoke(app, ["cost", *words], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured."""
    known = {"seconds": 1.5, "peak_memory": 2_000_000_000, "where": "this machine"}
    monkeypatch.setattr("diffir.evaluation.cost.measured", lambda *_: known)


@pytest.mark.usefixtures("quick")
def test_every_model_is_a_row() -> None:
    lines = call("deblur", "inpaint").output.splitlines()
    words = [line.split() for line in lines]
    assert words[1] == ["deblur", "26.9", "M", "121.0", "G", "1.50", "2,000", "MB"]
    assert words[2][:5] == ["inpaint", "26.4", "M", "50.6", "G"]
    assert lines[3] == "one picture of 256×256; this machine"


@pytest.mark.usefixtures("quick")
def test_width_stands_first() -> None:
    (row,) = json.loads(call("sr-x4-lite", "--size", "640x16", "--json").output)
    assert row["size"] == [640, 16]
    assert row["multiply_adds"] == count(PRESETS["sr-x4-lite"].config, (640, 16))


def test_a_file_is_measured_where_asked(tmp_path: Path) -> None:
    file = tmp_path / "deblur.safetensors"
    format.save(Checkpoint(model=network(2, toy("deblur")), task="deblur"), file)
    (row,) = json.loads(call(str(file), "--size", "16", "--device", "cpu", "--json").output)
    assert row["model"] == str(file)
    assert row["where"].startswith("cpu, ")
    assert row["seconds"] > 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("deblur --size 12xx", "error: --size 12xx found; give 256 or, width first, 640x480"),
        ("deblur --size 0x64", "error: --size 0x64 found"),
        ("deblur --size 99999", "error: --size 99999 found; each side must be"),
        ("nope --size 64", "error: no file and no preset 'nope' found"),
        ("deblur --size 64 --device gpu", "error: unknown device 'gpu'"),
    ],
)
def test_mistakes_are_a_sentence(words: str, sentence: str) -> None:
    result = call(*words.split())
    assert result.exit_code == 2
    assert sentence in result.output
    assert result.output.count("\n") == 1
