"""The trainer: each phase learns its part, and stopping and resuming changes nothing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor, nn

from diffir.data import Bicubic, Feed, Stream, data_sets, open_sets
from diffir.errors import DataError, RecipeError, WeightsError
from diffir.loading import load_checkpoint
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2
from diffir.presets import Preset
from diffir.recipe import Phase, Recipe
from diffir.tasks import SuperResolution
from diffir.training import loop
from diffir.training.build import train_preset, train_stage1, train_stage2
from diffir.training.loop import Run, run_phase
from diffir.training.stages import JointPhase, PriorPhase, Stage1

TOY = DiffIRConfig(
    dim=8, num_blocks=(1, 1, 1, 1), num_refinement_blocks=1, cpen_blocks=1, upscale=4
)
PHASE = Phase(steps=6, learning_rate=1e-3, warmup_steps=2, batch_size=2, lq_size=8)
RECIPE = Recipe(stage1=PHASE, prior=PHASE, joint=PHASE)


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    photo = tmp_path_factory.mktemp("data") / "photo.png"
    Image.fromarray(data.astronaut()[:96, 150:260]).save(photo)
    source = open_sets(data_sets([str(photo)]), scale=4)
    return Feed(source=source, degradation=Bicubic(), scale=4)


def run_in(folder: Path, **changes: object) -> Run:
    folder.mkdir(exist_ok=True)
    run = Run(folder=folder, device=torch.device("cpu"), log_every=1, save_every=2)
    return replace(run, **changes)


def equal(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def changed(before: dict[str, Tensor], after: nn.Module) -> set[str]:
    """The parts of a network whose weights are no longer what they were."""
    now = after.state_dict()
    return {name.split(".")[0] for name in before if not torch.equal(before[name], now[name])}


def copy_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    real = loop.update_average

    def dying(*args: object) -> None:
        dying.calls += 1
        if dying.calls == step:
            raise Killed
        real(*args)

    dying.calls = 0
    monkeypatch.setattr(loop, "update_average", dying)


@pytest.mark.parametrize("killed_at", [1, 5, 9, 15])
def test_a_run_killed_and_resumed_ends_with_the_bits_of_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int, feed: Feed
) -> None:
    def both_stages(folder: Path) -> DiffIRS2:
        run = run_in(folder)
        teacher = train_stage1(TOY, RECIPE, feed, run)
        return train_stage2(TOY, RECIPE, feed, run, teacher)

    unbroken = both_stages(tmp_path / "unbroken")
    with monkeypatch.context() as patch:
        stop_at(patch, killed_at)
        with pytest.raises(Killed):
            both_stages(tmp_path / "killed")
    assert equal(both_stages(tmp_path / "killed"), unbroken)


def test_another_seed_gives_other_weights(tmp_path: Path, feed: Feed) -> None:
    first = train_stage1(TOY, RECIPE, feed, run_in(tmp_path / "a"))
    other = RECIPE.model_copy(update={"seed": 1})
    assert not equal(first, train_stage1(TOY, other, feed, run_in(tmp_path / "b")))


def test_each_phase_trains_its_own_parts(tmp_path: Path, feed: Feed) -> None:
    torch.manual_seed(0)
    teacher, model = DiffIRS1(TOY), DiffIRS2(TOY)
    before = copy_of(teacher)
    run_phase("stage1", 1, Stage1(teacher), PHASE, RECIPE, feed, run_in(tmp_path))
    assert changed(before, teacher) == {"cpen", "dirformer"}

    before, taught = copy_of(model), copy_of(teacher)
    run_phase("prior", 2, PriorPhase(model, teacher), PHASE, RECIPE, feed, run_in(tmp_path))
    assert changed(before, model) == {"cpen", "denoiser"}

    before = copy_of(model)
    run_phase("joint", 3, JointPhase(model, teacher), PHASE, RECIPE, feed, run_in(tmp_path))
    assert changed(before, model) == {"cpen", "denoiser", "dirformer"}
    assert not changed(taught, teacher)


def test_stage_2_begins_with_the_restorer_of_stage_1(tmp_path: Path, feed: Feed) -> None:
    teacher = DiffIRS1(TOY)
    no_steps = PHASE.model_copy(update={"steps": 0})
    recipe = RECIPE.model_copy(update={"prior": no_steps, "joint": no_steps})
    model = train_stage2(TOY, recipe, feed, run_in(tmp_path), teacher)
    assert equal(model.dirformer, teacher.dirformer)


def test_training_lowers_the_loss(tmp_path: Path, feed: Feed) -> None:
    torch.manual_seed(0)
    phase = PHASE.model_copy(update={"steps": 160, "learning_rate": 3e-3})
    run = run_in(tmp_path, save_every=1000)
    run_phase("stage1", 1, Stage1(DiffIRS1(TOY)), phase, RECIPE, feed, run)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["pixel_l1"] for line in lines]
    assert len(losses) == 160
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])


def test_the_prior_phase_brings_the_guess_towards_the_teachers_ipr(
    tmp_path: Path, feed: Feed
) -> None:
    torch.manual_seed(0)
    teacher, model = DiffIRS1(TOY), DiffIRS2(TOY)
    phase = PHASE.model_copy(update={"steps": 60})
    run_phase("prior", 2, PriorPhase(model, teacher), phase, RECIPE, feed, run_in(tmp_path))
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["ipr_l1"] for line in lines]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])


def test_inserted_variance_and_bfloat16_train_too(tmp_path: Path, feed: Feed) -> None:
    config = replace(TOY, insert_variance=True)
    recipe = RECIPE.model_copy(update={"precision": "bfloat16"})
    teacher = train_stage1(config, recipe, feed, run_in(tmp_path))
    model = train_stage2(config, recipe, feed, run_in(tmp_path), teacher)
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(("clip", "at_most"), [(None, None), (1e-3, 1e-3)])
def test_the_gradient_is_clipped_where_the_recipe_asks_for_it(
    clip: float | None, at_most: float | None, feed: Feed
) -> None:
    torch.manual_seed(0)
    stage = Stage1(DiffIRS1(TOY))
    optimizer = torch.optim.Adam(stage.trainable())
    recipe = RECIPE.model_copy(update={"gradient_clip": clip})
    (batch,) = Stream(feed, PHASE.sizes, (0, 1)).batches(0, 1)
    loop.train_step(stage, optimizer, 1e-3, batch, recipe, (0, 1, 0))
    squares = [p.grad.square().sum() for p in stage.trainable() if p.grad is not None]
    norm = float(torch.stack(squares).sum().sqrt())
    assert (norm > 0.01) if at_most is None else (norm <= 1.001 * at_most)


def test_a_loss_that_is_not_finite_stops_and_names_the_step(tmp_path: Path, feed: Feed) -> None:
    model = DiffIRS1(TOY)
    phase = PHASE.model_copy(update={"learning_rate": 1e30, "warmup_steps": 0})
    with pytest.raises(RecipeError, match=r"not finite at step \d"):
        run_phase("stage1", 1, Stage1(model), phase, RECIPE, feed, run_in(tmp_path))


def test_a_broken_state_is_a_sentence(tmp_path: Path, feed: Feed) -> None:
    (tmp_path / "stage1.state.pt").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(WeightsError, match="is not a training state"):
        train_stage1(TOY, RECIPE, feed, run_in(tmp_path))


def test_validation_is_handed_in_and_logged(tmp_path: Path, feed: Feed) -> None:
    seen = []

    def validate(model: nn.Module) -> dict[str, float]:
        seen.append(model)
        return {"set5": 30.0}

    run = run_in(tmp_path, validate=validate, validate_every=3)
    train_stage1(TOY, RECIPE, feed, run)
    assert len(seen) == 2
    assert (tmp_path / "log.jsonl").read_text().count('"set5": 30.0') == 2


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three photos: colour, gray and 16 × 16."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(data.astronaut()[:80, 150:240]).save(folder / "colour.png")
    Image.fromarray(data.camera()[200:280, 200:290]).save(folder / "gray.jpg")
    Image.fromarray(data.astronaut()[:16, :16]).save(folder / "small.png")
    return folder


def test_a_preset_trains_from_a_folder_to_files_that_load(tmp_path: Path, photos: Path) -> None:
    preset = Preset(
        name="toy", summary="", task=SuperResolution(), config=TOY, recipe=RECIPE
    )  # fmt: skip
    cpu = torch.device("cpu")
    weights = train_preset(preset, [str(photos)], tmp_path / "run", device=cpu)
    checkpoint = load_checkpoint(weights)
    assert isinstance(checkpoint.model, DiffIRS2)
    assert (checkpoint.preset, checkpoint.task) == ("toy", "sr")
    assert checkpoint.training["pictures"] == 3
    assert checkpoint.training["recipe"]["joint"]["steps"] == 6
    stage1 = load_checkpoint(weights.with_name("toy-stage1.safetensors"))
    assert isinstance(stage1.model, DiffIRS1)

    train_preset(preset, [str(photos)], tmp_path / "run", device=cpu)
    assert equal(load_checkpoint(weights).model, checkpoint.model)

    other = replace(preset, recipe=RECIPE.model_copy(update={"seed": 3}))
    with pytest.raises(RecipeError, match="holds a run of another recipe"):
        train_preset(other, [str(photos)], tmp_path / "run", device=cpu)


def test_training_refuses_what_it_cannot_learn_from(tmp_path: Path, photos: Path) -> None:
    large = PHASE.model_copy(update={"lq_size": 64})
    preset = Preset(
        name="toy", summary="", task=SuperResolution(), config=TOY,
        recipe=RECIPE.model_copy(update={"stage1": large}),
    )  # fmt: skip
    with pytest.raises(DataError, match="as large as the crop of 256 pixels"):
        train_preset(preset, [str(photos)], tmp_path / "run", device=torch.device("cpu"))
    with pytest.raises(RecipeError, match="has no recipe"):
        train_preset(
            replace(preset, recipe=None),
            [str(photos)],
            tmp_path / "run",
            device=torch.device("cpu"),
        )
