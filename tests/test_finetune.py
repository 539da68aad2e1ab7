"""Fine-tuning: any network of stage 2 goes on, as it was trained or as its task is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from diffir.checkpoints import Checkpoint, format
from diffir.cli.app import app
from diffir.data import MILD, Bicubic, Degradation, Holes, MotionBlur, SecondOrder
from diffir.data.masks import EVERYDAY
from diffir.errors import WeightsError
from diffir.loading import load_checkpoint
from diffir.model import DiffIRS1, DiffIRS2
from diffir.presets import PRESETS, RECIPES, finetuning
from diffir.recipe import Recipe
from diffir.training.feed import feed_of

SR, DEBLUR, INPAINT = (RECIPES[f"toy-{name}"].config for name in ("sr", "deblur", "inpaint"))


def weights(task: str = "sr", recipe: Any = None, **numbers: Any) -> Checkpoint:
    config = {"sr": SR, "deblur": DEBLUR, "inpaint": INPAINT}[task]
    model = DiffIRS2(replace(config, **numbers))
    return Checkpoint(model=model, task=task, training={"recipe": recipe} if recipe else {})


def degradation_of(checkpoint: Checkpoint) -> Degradation:
    recipe = finetuning(checkpoint).recipe
    assert recipe is not None
    return recipe.degradation


def test_the_degradation_that_a_file_tells_is_kept() -> None:
    told = Recipe(degradation=MILD).model_dump(mode="json")
    assert degradation_of(weights(recipe=told)) == MILD


@pytest.mark.parametrize(
    ("checkpoint", "wanted"),
    [
        (weights(), Bicubic()),
        (weights(unshuffle=2), SecondOrder()),
        (weights("deblur"), MotionBlur()),
        (weights("inpaint"), Holes(masks=EVERYDAY)),
    ],
)
def test_where_nothing_is_told_it_is_the_tasks_way(checkpoint: Checkpoint, wanted: Any) -> None:
    assert degradation_of(checkpoint) == wanted


@pytest.mark.parametrize(
    "told",
    [
        {"degradation": {"kind": "fog"}},
        {"degradation": "unheard-of"},
        {"degradation": None},
        {"seed": 1},
        "degradation",
        ["degradation"],
    ],
)
def test_what_is_told_in_another_way_is_left_aside(told: Any) -> None:
    assert degradation_of(weights(recipe=told)) == Bicubic()


@pytest.mark.parametrize("name", PRESETS)
def test_every_network_gets_a_recipe_that_fits_it(name: str) -> None:
    known = PRESETS[name]
    with torch.device("meta"):
        checkpoint = Checkpoint(model=DiffIRS2(known.config), task=known.task.name, preset=name)
    preset = finetuning(checkpoint)
    assert (preset.name, preset.task, preset.config) == (name, known.task, known.config)
    assert preset.recipe is not None
    assert [*preset.recipe.phases()] == ["finetune"]
    assert preset.recipe.gradient_clip == 0.25
    feed_of(preset, ["dead-leaves"], device=torch.device("cpu"))
    (phase,) = preset.recipe.phases().values()
    assert 128 <= phase.lq_size * known.config.scale <= 256


def test_a_network_without_a_name_gets_that_of_its_task() -> None:
    assert finetuning(weights("deblur")).name == "deblur"


def test_stage_1_is_refused() -> None:
    with pytest.raises(WeightsError, match="weights of stage 1 found, which need the ground truth"):
        finetuning(Checkpoint(model=DiffIRS1(SR), task="sr"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Image.fromarray(data.astronaut()[:160, 150:310]).save("photos/a.png")
    torch.manual_seed(0)
    told = Recipe(degradation=MILD).model_dump(mode="json")
    format.save(replace(weights(recipe=told), preset="toy-sr"), Path("known.safetensors"))
    return tmp_path


FEW = ("finetune.steps=2", "finetune.warmup_steps=0", "finetune.batch_size=2")
FINETUNE = [
    *("train", "finetune", "--from", "known.safetensors", "--data", "photos", "-o", "run"),
    *("--device", "cpu", "--set", "precision=float32"),
    *(word for setting in FEW for word in ("--set", setting)),
]


@pytest.mark.usefixtures("here")
def test_a_file_goes_on_with_photos_of_ones_own() -> None:
    result = CliRunner().invoke(app, FINETUNE)
    assert result.exit_code == 0, result.output
    assert "run/toy-sr.safetensors" in result.output
    before, after = load_checkpoint("known.safetensors"), load_checkpoint("run/toy-sr.safetensors")
    assert after.config == before.config
    assert Recipe.of(after.training["recipe"]).degradation == MILD
    old, new = before.model.state_dict(), after.model.state_dict()
    furthest = max(float((old[name] - new[name]).abs().max()) for name in old)
    assert 0 < furthest < 1e-3  # from where it was, by two small steps
    result = CliRunner().invoke(app, ["train", "--resume", "run", "--device", "cpu"])
    assert result.exit_code == 0, result.output


@pytest.mark.usefixtures("here")
def test_a_start_may_be_changed_in_its_degradation_alone() -> None:
    result = CliRunner().invoke(app, [*FINETUNE, "--set", "network.dim=16"])
    assert result.exit_code == 2
    assert "the start does not fit toy-sr: dim 8 found, 16 wanted" in result.output
    result = CliRunner().invoke(app, ["train", "finetune", "--data", "photos", "-o", "run"])
    assert result.exit_code == 2
    assert "finetune needs a network; give one, for example --from" in result.output
    assert not Path("run").exists()
