"""diffir runs: a table of trainings, and the curves of one."""

import json
import os
import time
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from diffir.cli.app import app
from diffir.cli.runs import ago


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["runs", *words])


def write_run(folder: str, *lines: dict[str, object]) -> Path:
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    phases = {name: {"steps": 100} for name in ("stage1", "prior", "joint")}
    facts = {"name": "toy", "version": "1", "config": {}, "recipe": {**phases, "finetune": None}}
    (path / "run.json").write_text(json.dumps(facts))
    if lines:
        (path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


LINES = (
    {"phase": "stage1", "step": 100, "rate": 1e-3, "pixel_l1": 0.5},
    {"phase": "prior", "step": 98, "rate": 1e-3, "ipr_l1": 0.5},
    {"phase": "prior", "step": 98, "psnr/a": 27.125, "psnr": 28.756},
)


def row(output: str, folder: str) -> list[str]:
    """The cells of a run's row."""
    (line,) = (line for line in output.splitlines() if f" {folder} " in line)
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_a_row_tells_how_far_a_run_is() -> None:
    old = time.time() - 7300
    write_run("work/first", *LINES)
    for file in Path("work/first").iterdir():
        os.utime(file, (old, old))
    write_run("work/[red]second")
    result = call("work")
    assert result.exit_code == 0, result.output
    cells = ["toy", "first", "prior", "98/100", "66 %", "28.76 dB", "2 h ago", "no"]
    assert row(result.output, "first") == cells
    cells = ["toy", "[red]second", "not started", "0/100", "0 %", "just now", "no"]
    assert row(result.output, "[red]second") == cells


def test_a_finished_run_says_so_and_no_other_is_done_before() -> None:
    folder = write_run("a", {"phase": "joint", "step": 99, "rate": 1e-3, "psnr/b": 30.0})
    assert row(call().output, "a")[4:6] == ["99 %", "30.00 dB"]
    (folder / "toy.safetensors").touch()
    assert row(call().output, "a")[4] == "100 %"
    assert row(call().output, "a")[-1] == "yes"


def test_numbers_stay_whole_where_it_is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "64")
    write_run("a-name-that-is-long/and-longer-still/and-no-end", *LINES)
    result = call()
    assert all(text in result.output for text in ("98/100", "28.76 dB", "finished"))
    assert "…" not in result.output


def test_without_runs_it_says_so() -> None:
    result = call()
    assert (result.exit_code, result.output) == (0, "no runs in .\n")
    result = call("gone")
    assert result.exit_code == 2
    assert "gone is not a folder; name a run, or a folder with runs" in result.output


def test_the_curves_of_a_run_become_a_png() -> None:
    write_run("a", *LINES)
    result = call("a/", "--plot", "a.png")
    assert result.exit_code == 0, result.output
    assert "a.png" in result.output
    assert Image.open("a.png").format == "PNG"


def test_only_one_run_is_plotted() -> None:
    write_run("work/a", *LINES)
    result = call("work", "--plot", "a.png")
    assert result.exit_code == 2
    assert "work is not a run but has 1 run below it; name the folder of one run" in result.output
    Path("empty").mkdir()
    assert "empty is not a run; name the folder" in call("empty", "--plot", "a.png").output
    assert not Path("a.png").exists()
    result = call("work/a", "--plot", "a.jpg")
    assert result.exit_code == 2
    assert "name it .png" in result.output


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "just now"), (59, "just now"), (60, "1 min ago"), (7199, "1 h ago"), (2e5, "2 d ago")],
)
def test_ages_are_in_one_unit(seconds: float, words: str) -> None:
    assert ago(seconds) == words
