"""diffir train, from a folder of photos to weights that restore."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from diffir.cli.app import app
from diffir.loading import load
from diffir.model import DiffIRConfig
from diffir.presets import RECIPES, Preset
from diffir.recipe import Phase, Recipe
from diffir.tasks import SuperResolution
from trainer import equal

PHASE = Phase(steps=2, learning_rate=1e-3, batch_size=2, lq_size=8)
TOY = Preset(
    name="toy",
    summary="",
    task=SuperResolution(),
    config=DiffIRConfig(
        upscale=4, dim=8, num_blocks=(1, 1, 1, 1), num_refinement_blocks=1, cpen_blocks=1
    ),
    recipe=Recipe(stage1=PHASE, prior=PHASE, joint=PHASE),
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(RECIPES, "toy", TOY)
    Path("photos").mkdir()
    Image.fromarray(data.astronaut()[:64, 200:272]).save("photos/a.png")
    return tmp_path


@pytest.mark.usefixtures("here")
def test_a_folder_of_photos_becomes_weights_that_restore() -> None:
    result = CliRunner().invoke(app, ["train", "toy", "--data", "photos", "-o", "run"])
    assert result.exit_code == 0, result.output
    weights = Path("run/toy.safetensors")
    assert str(weights) in result.output
    result = CliRunner().invoke(
        app, ["restore", "photos/a.png", "-o", "out.png", "--model", str(weights)]
    )
    assert result.exit_code == 0, result.output
    assert Image.open("out.png").size == (288, 256)


@pytest.mark.usefixtures("here")
def test_validation_is_logged_at_its_steps_and_at_the_end_of_each_phase() -> None:
    words = ["train", "toy", "--data", "photos", "-o", "run", "--val", "photos", "--val-every", "1"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in Path("run/log.jsonl").read_text().splitlines()]
    scores = [(line["phase"], line["step"]) for line in lines if "psnr" in line]
    assert scores == [(name, step) for name in ("stage1", "prior", "joint") for step in (1, 2)]
    assert all(5 < line["psnr"] < 60 for line in lines if "psnr" in line)
    result = CliRunner().invoke(app, [*words[:-3], "gone"])
    assert result.exit_code == 2
    assert "gone does not exist" in result.output


@pytest.mark.usefixtures("here")
def test_a_mistyped_folder_is_a_sentence_and_leaves_no_run() -> None:
    result = CliRunner().invoke(app, ["train", "toy", "--data", "photo", "-o", "run"])
    assert result.exit_code == 2
    assert "photo does not exist" in result.output
    assert not Path("run").exists()


@pytest.mark.usefixtures("here")
def test_a_name_without_a_recipe_is_answered_with_those_that_have_one() -> None:
    result = CliRunner().invoke(app, ["train", "sr-x1", "--data", "photos", "-o", "run"])
    assert result.exit_code == 2
    assert "sr-x4-lite" in result.output


@pytest.mark.usefixtures("here")
def test_a_full_disk_is_a_sentence_and_leaves_no_half_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")  # as the system says it: without a file

    monkeypatch.setattr("diffir.files.os.fsync", full_disk)
    result = CliRunner().invoke(app, ["train", "toy", "--data", "photos", "-o", "run"])
    assert result.exit_code == 2
    assert ": No space left on device; check the path, its permissions" in result.output
    assert not [*Path("run").iterdir()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_saves_where_it_is_and_goes_on_later(
    tmp_path: Path, number: signal.Signals
) -> None:
    Image.fromarray(data.astronaut()[:160, 200:360]).save(tmp_path / "a.png")
    command = [
        *(sys.executable, "-m", "diffir", "train", "sr-x4-lite", "--data", str(tmp_path / "a.png")),
        *("-o", str(tmp_path / "run"), "--threads", "1", "--workers", "1"),
        *("--set", "stage1.batch_size=1", "--set", "stage1.lq_size=16"),
    ]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    try:
        while run.poll() is None and not (tmp_path / "run/log.jsonl").exists():
            time.sleep(0.05)
        os.killpg(run.pid, number)  # as a terminal does: to the workers as well
        _, said = run.communicate(timeout=60)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode == 130, said
    stopped = re.search(rb"stopped after step (\d+) of stage1; the same command goes on", said)
    assert stopped is not None, said
    (state,) = (tmp_path / "run/states").iterdir()
    assert torch.load(state, weights_only=True)["step"] == int(stopped[1])


@pytest.mark.usefixtures("here")
def test_a_run_goes_on_by_its_folder_alone() -> None:
    words = ["train", "toy", "--data", "photos", "-o", "run"]
    assert CliRunner().invoke(app, words).exit_code == 0
    before = load("run/toy.safetensors")
    Path("run/toy.safetensors").unlink()
    result = CliRunner().invoke(app, ["train", "--resume", "run"])
    assert result.exit_code == 0, result.output
    assert equal(load("run/toy.safetensors"), before)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["toy", "--resume", "run"], "--resume takes recipe, data and networks from the run"),
        (["--resume", "photos"], "photos holds no run"),
        (["toy", "--data", "photos"], "RECIPE, --data and -o are wanted"),
        (["finetune", "--data", "photos", "-o", "run"], "finetune wants a network"),
        (["toy", "--data", "photos", "-o", "photos/a.png"], "photos/a.png is a file"),
        (
            ["toy", "--data", "photos", "-o", "run", "--devices", "4", "--device", "cpu"],
            "batch_size 2 found; it does not divide over 4 processes",
        ),
    ],
)
def test_a_mistake_is_a_sentence(words: list[str], sentence: str) -> None:
    result = CliRunner().invoke(app, ["train", *words])
    assert result.exit_code == 2
    assert sentence in result.output
    assert not Path("run").exists()
