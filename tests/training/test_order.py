"""Orders: what was asked of a run lies in its folder and can be asked again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from diffir.checkpoints import Checkpoint, format
from diffir.cli.app import app
from diffir.errors import DiffIRError, RecipeError
from diffir.model import DiffIRS1, DiffIRS2
from diffir.training.order import Order, locked, order_of, order_of_run
from trainer import train_in

SETTINGS = (
    *(f"{phase}.steps=2" for phase in ("stage1", "prior", "joint")),
    "finetune=null",
    "network.timesteps=2",
)


def order_in(folder: Path, *settings: str, **asked: Any) -> Order:
    words = {"data": ("dead-leaves",), "folder": folder, **asked}
    return order_of("toy-sr", (*SETTINGS, *settings), **words)


def test_an_order_comes_back_from_its_folder(tmp_path: Path) -> None:
    order = order_in(
        tmp_path / "run",
        *("degradation=mild", "augment.mixup=0.5", "joint.adversary=patch"),
        "joint.schedule={kind: milestones, steps: [1]}",
        val=("dead-leaves",),
        teacher="teacher.safetensors",
    )
    order.claim()
    again = order_of_run(tmp_path / "run")
    assert replace(again, preset=order.preset) == order
    assert replace(again.preset, summary=order.preset.summary) == order.preset
    again.claim()


def test_paths_are_found_from_everywhere_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    order_in(Path("run"), data=("photos", "dead-leaves"), val=("photos",)).claim()
    again = order_of_run(tmp_path / "run")
    assert again.data == (str(tmp_path / "photos"), "dead-leaves")
    assert again.val == (str(tmp_path / "photos"),)


@pytest.mark.parametrize("setting", ["seed=1", "network.timesteps=3", "joint.steps=3"])
def test_a_folder_with_a_run_of_another_recipe_is_refused_and_stays(
    tmp_path: Path, setting: str
) -> None:
    order_in(tmp_path).claim()
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(RecipeError, match="holds a run of another recipe; choose another output"):
        order_in(tmp_path, setting).claim()
    assert (tmp_path / "run.json").read_bytes() == before


def test_other_data_may_go_on_in_the_folder_and_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    order_in(tmp_path).claim()
    order_in(tmp_path).claim()
    assert not caplog.text
    order_in(tmp_path, data=("dead-leaves", "more.txt")).claim()
    assert order_of_run(tmp_path).data == ("dead-leaves", "more.txt")
    assert "was started with other --data (dead-leaves)" in caplog.text


def test_other_validation_data_is_told_and_none_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for val in (("a",), ("a",), (), ("b",)):
        order_in(tmp_path, val=val).claim()
    assert not caplog.text
    order_in(tmp_path, val=("c",)).claim()
    assert "was validated with other --val (b); the best weights are chosen anew" in caplog.text


def test_a_folder_in_which_another_process_trains_is_refused(tmp_path: Path) -> None:
    sentence = "is being trained in by another process; wait for it, or choose another folder"
    folder, preset = tmp_path / "run", order_in(tmp_path).preset
    with locked(folder), pytest.raises(RecipeError, match=sentence):
        train_in(folder, preset, "dead-leaves")
    assert not (folder / "run.json").exists()
    with locked(folder):  # free again
        pass


def test_a_recipe_file_may_change_that_of_fine_tuning(tmp_path: Path) -> None:
    model = DiffIRS2(order_in(tmp_path).preset.config)
    start, file = tmp_path / "start.safetensors", tmp_path / "mine.yaml"
    format.save(Checkpoint(model=model, task="sr"), start)
    file.write_text("preset: finetune\nfinetune: {steps: 7}\n")
    words = {"data": ("dead-leaves",), "folder": tmp_path}
    recipe = order_of(str(file), start=str(start), **words).preset.recipe
    assert recipe is not None
    assert recipe.finetune is not None
    assert recipe.finetune.steps == 7
    with pytest.raises(RecipeError, match="finetune needs a network; give one, for example --from"):
        order_of(str(file), **words)


@pytest.mark.parametrize(("role", "option"), [("start", "--from"), ("teacher", "--teacher")])
def test_a_run_does_not_go_on_from_other_networks(tmp_path: Path, role: str, option: str) -> None:
    order_in(tmp_path, **{role: "a.safetensors"}).claim()
    before = (tmp_path / "run.json").read_bytes()
    for other in ("b.safetensors", None):
        with pytest.raises(RecipeError, match=f"with {option} a.safetensors, not {other}; repeat"):
            order_in(tmp_path, **{role: other}).claim()
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_recipe_with_stage_1_begins_with_weights_of_stage_1(tmp_path: Path) -> None:
    config = order_in(tmp_path).preset.config
    for stage, kind in ((1, DiffIRS1), (2, DiffIRS2)):
        format.save(Checkpoint(model=kind(config), task="sr"), tmp_path / f"{stage}.safetensors")
    first, second = (str(tmp_path / f"{stage}.safetensors") for stage in (1, 2))
    assert isinstance(order_in(tmp_path, start=first).beginning().start, DiffIRS1)
    with pytest.raises(DiffIRError, match="the start is of stage 2"):
        order_in(tmp_path, start=second).beginning()
    assert isinstance(
        order_in(tmp_path, "stage1=null", start=second, teacher=first).beginning().start, DiffIRS2
    )


def broken(told: dict[str, Any], key: str, value: Any) -> bytes:
    return json.dumps({**told, key: value}).encode()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda told: b"", r"holds no run \(run.json is missing or broken\)"),
        (lambda told: json.dumps(told).encode()[:-9], "is missing or broken"),
        (lambda told: b"\xff\xfe", "is missing or broken"),
        (lambda told: b"[1]", "run.json is incomplete"),
        (lambda told: b'{"name": "toy"}', "run.json is incomplete; repeat the command"),
        (lambda told: broken(told, "config", {"dim": 8, "width": 1}), "describes no network"),
        (lambda told: broken(told, "config", {"timesteps": -1}), "describes no network .*at least"),
        (lambda told: broken(told, "config", 3), "describes no network"),
        (lambda told: broken(told, "data", [1]), "run.json is incomplete"),
        (lambda told: broken(told, "start", 5), "run.json is incomplete"),
        (lambda told: broken(told, "task", "dehaze"), "describes no network .*dehaze"),
        (lambda told: broken(told, "recipe", {"joint": {"steps": -1}}), r"joint\.steps"),
    ],
)
def test_a_broken_folder_is_a_sentence(tmp_path: Path, change: Any, sentence: str) -> None:
    order_in(tmp_path).claim()
    told = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_bytes(change(told))
    with pytest.raises(RecipeError, match=sentence) as caught:
        order_of_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_no_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="gone holds no run"):
        order_of_run(tmp_path / "gone")


def test_fine_tuning_without_a_network_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="finetune needs a network; give one, for example --from"):
        order_of("finetune", data=("dead-leaves",), folder=tmp_path)


def test_weights_to_begin_with_are_asked_before_anything_is_written(tmp_path: Path) -> None:
    config = replace(order_in(tmp_path).preset.config, dim=16)
    teacher = tmp_path / "teacher.safetensors"
    format.save(Checkpoint(model=DiffIRS1(config), task="sr"), teacher)
    order = order_in(tmp_path / "run", "stage1=null", teacher=str(teacher))
    with pytest.raises(DiffIRError, match="the teacher does not fit toy-sr: dim 16 found"):
        order.beginning()
    with pytest.raises(DiffIRError, match="no file and no preset"):
        order_in(tmp_path / "run", start=str(tmp_path / "gone.safetensors")).beginning()


def test_a_run_goes_on_by_its_folder_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    begin = ["train", "toy-sr", "--data", "dead-leaves", "-o", "run", "--device", "cpu", *settings]
    result = CliRunner().invoke(app, begin)
    assert result.exit_code == 0, result.output
    for path in (*Path("run/states").glob("joint*"), Path("run/toy-sr.safetensors")):
        path.rename(tmp_path / path.name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = CliRunner().invoke(app, ["train", "--resume", "../run", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    (name,) = [path.name for path in tmp_path.glob("*.pt")]
    before, after = (
        torch.load(folder / name, weights_only=True)["model"]
        for folder in (tmp_path, tmp_path / "run/states")
    )
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--resume", "run", "--set", "seed=1"],
            "--resume takes the recipe, data and networks from the run",
        ),
        (
            ["--resume", "run", "--data", "dead-leaves"],
            "--resume takes the recipe, data and networks from the run",
        ),
        (["toy-sr", "-o", "run"], "give RECIPE, --data and -o, or --resume"),
        ([], "give RECIPE, --data and -o"),
        (["--resume", "run"], "run holds no run"),
    ],
)
def test_words_that_do_not_go_together_are_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["train", *words])
    assert result.exit_code == 2
    assert sentence in result.output
    assert not Path("run").exists()
