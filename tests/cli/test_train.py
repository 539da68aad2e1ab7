"""diffir train, from a folder of photos to weights that restore."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
from diffir.training.order import Order
from diffir.training.run import Run
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
    assert [path.name for path in Path("run").iterdir()] == [".lock"]


@contextmanager
def started(command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with its workers, killed at the end."""
    run = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    try:
        yield run
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()


@pytest.mark.usefixtures("here")
def test_every_option_reaches_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def train(order: Order, run: Run, **options: Any) -> Path:
        seen.update(options, order=order, run=run)
        return Path("toy.safetensors")

    monkeypatch.setattr("diffir.training.build.train", train)
    words = (
        "train toy --data photos --data dead-leaves -o run --val photos --val-every 9 "
        "--save-every 7 --accumulate 2 --recompute --compile --workers 3 --on-bad stop "
        "--from start.pth --teacher teacher.pth --set seed=4 --device cpu"
    )
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 0, result.output
    assert "trained weights: toy.safetensors" in result.output
    order, run = seen.pop("order"), seen.pop("run")
    assert seen == {"workers": 3, "on_bad": "stop", "recompute": True}
    assert (order.data, order.val) == (("photos", "dead-leaves"), ("photos",))
    assert (order.start, order.teacher) == ("start.pth", "teacher.pth")
    assert (order.folder, order.preset.recipe.seed) == (Path("run"), 4)
    assert (run.folder, run.save_every, run.validate_every) == (Path("run"), 7, 9)
    assert (run.accumulate, run.compiled, run.validate is None) == (2, True, False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_saves_where_it_is_and_goes_on_later(
    tmp_path: Path, number: signal.Signals
) -> None:
    Image.fromarray(data.astronaut()[:160, 200:360]).save(tmp_path / "a.png")
    command = [
        *(sys.executable, "-m", "diffir", "train", "toy-sr", "--data", str(tmp_path / "a.png")),
        *("-o", str(tmp_path / "run"), "--threads", "1", "--workers", "1"),
        *("--set", "stage1.batch_size=1", "--set", "stage1.steps=1000000"),
    ]
    with started(command) as run:
        while run.poll() is None and not (tmp_path / "run/log.jsonl").exists():
            time.sleep(0.05)
        os.killpg(run.pid, number)  # as a terminal does: to the workers as well
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    stopped = re.search(
        rb"stopped after step (\d+) of stage1; the same command resumes the run", said
    )
    assert stopped is not None, said
    (state,) = (tmp_path / "run/states").iterdir()
    assert torch.load(state, weights_only=True)["step"] == int(stopped[1])
    with started(command) as run:
        assert run.stderr is not None
        assert any(b"stage1 resumes at step " + stopped[1] in line for line in run.stderr)


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
        (["toy", "--resume", "run"], "--resume takes the recipe, data and networks from the run"),
        (["--resume", "photos"], "photos holds no run"),
        (["toy", "--data", "photos"], "give RECIPE, --data and -o"),
        (["finetune", "--data", "photos", "-o", "run"], "finetune needs a network"),
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
