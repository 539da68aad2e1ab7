"""The trainer: each phase learns its part, and stopping and resuming changes nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor, nn

from diffir.data import Bicubic, Feed, data_sets, open_sets
from diffir.errors import DataError, RecipeError, WeightsError
from diffir.loading import load_checkpoint
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2
from diffir.presets import Preset
from diffir.recipe import Phase, Recipe
from diffir.tasks import SuperResolution
from diffir.training import loop
from diffir.training.beginning import Beginning
from diffir.training.build import Training
from diffir.training.loop import run_phase
from diffir.training.order import Order
from diffir.training.stages import JointPhase, PriorPhase, Stage, Stage1
from trainer import equal, run_in, train_in

TOY = DiffIRConfig(
    dim=8, num_blocks=(1, 1, 1, 1), num_refinement_blocks=1, cpen_blocks=1, upscale=4
)
PHASE = Phase(steps=6, learning_rate=1e-3, warmup_steps=2, batch_size=2, lq_size=8)
RECIPE = Recipe(stage1=PHASE, prior=PHASE, joint=PHASE)
TOY_PRESET = Preset(name="toy", summary="", task=SuperResolution(), config=TOY, recipe=RECIPE)


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    photo = tmp_path_factory.mktemp("data") / "photo.png"
    Image.fromarray(data.astronaut()[:96, 150:260]).save(photo)
    source = open_sets(data_sets([str(photo)]), scale=4)
    return Feed(source=source, degradation=Bicubic(), scale=4)


def phases_in(folder: Path, feed: Feed, recipe: Recipe = RECIPE, **changes: Any) -> nn.Module:
    """The network of a training of the toy."""
    preset = replace(TOY_PRESET, **changes.pop("preset", {}), recipe=recipe)
    order = Order(preset=preset, data=(), folder=folder, val=changes.pop("val", ()))
    training = Training(order=order, feed=feed, run=run_in(folder, **changes), facts={})
    return load_checkpoint(training.of_phases(Beginning())).model


def run_stage(name: str, stage: Stage, feed: Feed, folder: Path, **phase: Any) -> nn.Module:
    """The average of a phase of the toy's recipe with some settings of its own."""
    recipe = RECIPE.model_copy(update={name: PHASE.model_copy(update=phase)})
    return run_phase(name, stage, recipe, feed, run_in(folder, save_every=1000))


def losses_in(folder: Path, name: str) -> list[float]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [json.loads(line)[name] for line in lines]


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
    unbroken = phases_in(tmp_path / "unbroken", feed)
    with monkeypatch.context() as patch:
        stop_at(patch, killed_at)
        with pytest.raises(Killed):
            phases_in(tmp_path / "killed", feed)
    assert equal(phases_in(tmp_path / "killed", feed), unbroken)


def test_another_seed_gives_other_weights(tmp_path: Path, feed: Feed) -> None:
    only = Recipe(stage1=PHASE)
    first = phases_in(tmp_path / "a", feed, only)
    assert not equal(first, phases_in(tmp_path / "b", feed, Recipe(stage1=PHASE, seed=1)))


def test_each_phase_trains_its_own_parts(tmp_path: Path, feed: Feed) -> None:
    torch.manual_seed(0)
    teacher, model = DiffIRS1(TOY), DiffIRS2(TOY)
    before = copy_of(teacher)
    run_stage("stage1", Stage1(teacher), feed, tmp_path)
    assert changed(before, teacher) == {"cpen", "dirformer"}

    before, taught = copy_of(model), copy_of(teacher)
    run_stage("prior", PriorPhase(model, teacher), feed, tmp_path)
    assert changed(before, model) == {"cpen", "denoiser"}

    before = copy_of(model)
    run_stage("joint", JointPhase(model, teacher), feed, tmp_path)
    assert changed(before, model) == {"cpen", "denoiser", "dirformer"}
    assert not changed(taught, teacher)


def test_stage_2_begins_with_the_restorer_of_stage_1(tmp_path: Path, feed: Feed) -> None:
    still = PHASE.model_copy(update={"steps": 0})
    model = phases_in(tmp_path, feed, Recipe(stage1=PHASE, joint=still))
    teacher = load_checkpoint(tmp_path / "toy-stage1.safetensors").model
    assert equal(model.dirformer, teacher.dirformer)


def test_training_lowers_the_loss(tmp_path: Path, feed: Feed) -> None:
    torch.manual_seed(0)
    stage = Stage1(DiffIRS1(TOY))
    run_stage("stage1", stage, feed, tmp_path, steps=160, learning_rate=3e-3)
    losses = losses_in(tmp_path, "pixel_l1")
    assert len(losses) == 160
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])


def test_the_prior_phase_brings_the_guess_towards_the_teachers_ipr(
    tmp_path: Path, feed: Feed
) -> None:
    torch.manual_seed(0)
    stage = PriorPhase(DiffIRS2(TOY), DiffIRS1(TOY))
    run_stage("prior", stage, feed, tmp_path, steps=60)
    losses = losses_in(tmp_path, "ipr_l1")
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])


def test_inserted_variance_and_bfloat16_train_too(tmp_path: Path, feed: Feed) -> None:
    recipe = RECIPE.model_copy(update={"precision": "bfloat16"})
    config = replace(TOY, insert_variance=True)
    phases_in(tmp_path, feed, recipe, preset={"config": config})
    state = torch.load(tmp_path / "states/joint-00000006.pt", weights_only=True)
    kept = [*state["model"].values(), *state["average"].values()]
    assert all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in kept)


@pytest.mark.parametrize(("clip", "at_most"), [(None, None), (1e-3, 1e-3)])
def test_the_gradient_is_clipped_where_the_recipe_asks_for_it(
    tmp_path: Path, clip: float | None, at_most: float | None, feed: Feed
) -> None:
    torch.manual_seed(0)
    recipe = RECIPE.model_copy(update={"gradient_clip": clip})
    stage = Stage1(DiffIRS1(TOY))
    learning = loop.PhaseRun("stage1", stage, recipe, feed, run_in(tmp_path), None)
    norms = []
    hook = learning.learner.optimizer.optimizer.register_step_pre_hook(
        lambda *_: norms.append(nn.utils.get_total_norm([p.grad for p in stage.parameters()]))
    )
    (batch,) = learning.stream.batches(0, 1)
    told = learning.step(0, batch)["gradient"]
    hook.remove()
    assert told > 0.01  # what it was before
    assert (norms[0] == told) if at_most is None else (norms[0] <= 1.001 * at_most)


def test_a_loss_that_is_not_finite_stops_and_names_the_step(tmp_path: Path, feed: Feed) -> None:
    stage = Stage1(DiffIRS1(TOY))
    with pytest.raises(RecipeError, match=r"not finite at step \d"):
        run_stage("stage1", stage, feed, tmp_path, learning_rate=1e30, warmup_steps=0)
    assert not [*tmp_path.glob("states/*")]  # nothing of it is kept


def test_a_broken_state_is_a_sentence(tmp_path: Path, feed: Feed) -> None:
    (tmp_path / "states").mkdir()
    (tmp_path / "states/stage1-00000002.pt").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(WeightsError, match="is not a training state"):
        phases_in(tmp_path, feed)


def test_validation_is_handed_in_told_and_its_best_network_kept(tmp_path: Path, feed: Feed) -> None:
    scores = iter([20.0, 30.0, 25.0])
    seen: list[tuple[nn.Module, dict[str, Tensor]]] = []

    def validate(
        network: nn.Module, teacher: DiffIRS1 | None
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        assert teacher is None
        seen.append((network, copy_of(network)))
        return {"psnr": next(scores)}, {"set5-0": torch.rand(3, 8, 8)}

    phases_in(tmp_path, feed, Recipe(stage1=PHASE), validate=validate, validate_every=2)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["step"], line["psnr"]) for line in lines if "psnr" in line] == [
        (2, 20.0),
        (4, 30.0),
        (6, 25.0),
    ]
    best = load_checkpoint(tmp_path / "toy-stage1-best.safetensors")
    assert best.training["psnr"] == 30
    for name, tensor in best.model.state_dict().items():
        assert torch.equal(tensor, seen[1][1][name].half().float())
    assert len([*tmp_path.glob("pictures/*.png")]) == 3
    state = torch.load(tmp_path / "states/stage1-00000006.pt", weights_only=True)
    for name, tensor in seen[2][1].items():
        assert torch.equal(tensor, state["average"][name])
    assert any(not torch.equal(seen[2][1][name], x) for name, x in state["model"].items())


@pytest.mark.parametrize(("val", "best"), [("a", 30), ("b", 25)])
def test_a_resumed_run_keeps_its_best_network_where_it_is_validated_on_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feed: Feed, val: str, best: float
) -> None:
    def run(val: str, *scores: float) -> None:
        left = iter(scores)
        options: dict[str, Any] = {"validate": lambda *_: ({"psnr": next(left)}, {})}
        phases_in(tmp_path, feed, Recipe(stage1=PHASE), val=(val,), validate_every=2, **options)

    with monkeypatch.context() as patch:
        stop_at(patch, 5)
        with pytest.raises(Killed):
            run("a", 30, 20)
    run(val, 25)
    found = load_checkpoint(tmp_path / "toy-stage1-best.safetensors")
    assert found.training["psnr"] == best


def test_a_young_average_forgets_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feed: Feed
) -> None:
    decays: list[float] = []
    monkeypatch.setattr(loop, "update_average", lambda _average, _network, x: decays.append(x))
    phases_in(tmp_path, feed, Recipe(stage1=PHASE, ema_decay=0.3))
    assert decays == [1 / 10, 2 / 11, 3 / 12, 0.3, 0.3, 0.3]


def test_a_student_has_the_restorer_of_its_teacher_and_a_seed_of_its_own(
    tmp_path: Path, feed: Feed
) -> None:
    preset = replace(TOY_PRESET, recipe=RECIPE.model_copy(update={"seed": 5}))
    order = Order(preset=preset, data=(), folder=tmp_path)
    teacher = DiffIRS1(TOY)
    student = Training(order=order, feed=feed, run=run_in(tmp_path), facts={}).student(teacher)
    torch.manual_seed(6)  # one more than the recipe's, which is that of stage 1
    other = DiffIRS2(TOY)
    assert equal(student.cpen, other.cpen)
    assert equal(student.denoiser, other.denoiser)
    assert equal(student.dirformer, teacher.dirformer)


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
    weights = train_in(tmp_path / "run", TOY_PRESET, photos)
    checkpoint = load_checkpoint(weights)
    assert isinstance(checkpoint.model, DiffIRS2)
    assert (checkpoint.preset, checkpoint.task) == ("toy", "sr")
    assert checkpoint.training["pictures"] == 3
    assert checkpoint.training["recipe"]["joint"]["steps"] == 6
    stage1 = load_checkpoint(weights.with_name("toy-stage1.safetensors"))
    assert isinstance(stage1.model, DiffIRS1)

    train_in(tmp_path / "run", TOY_PRESET, photos)
    assert equal(load_checkpoint(weights).model, checkpoint.model)

    (photos / "gray.jpg").unlink()  # no weights claim to be learnt from what came later
    train_in(tmp_path / "run", TOY_PRESET, photos)
    assert load_checkpoint(weights).training == checkpoint.training
    weights.unlink()
    train_in(tmp_path / "run", TOY_PRESET, photos)
    assert equal(load_checkpoint(weights).model, checkpoint.model)

    other = replace(TOY_PRESET, recipe=RECIPE.model_copy(update={"seed": 3}))
    with pytest.raises(RecipeError, match="holds a run of another recipe"):
        train_in(tmp_path / "run", other, photos)


def test_training_refuses_what_it_cannot_learn_from(tmp_path: Path, photos: Path) -> None:
    large = RECIPE.model_copy(update={"stage1": PHASE.model_copy(update={"lq_size": 64})})
    with pytest.raises(DataError, match="as large as the crop of 256 pixels"):
        train_in(tmp_path / "run", replace(TOY_PRESET, recipe=large), photos)
    with pytest.raises(RecipeError, match="has no recipe"):
        train_in(tmp_path / "run", replace(TOY_PRESET, recipe=None), photos)
    with pytest.raises(RecipeError, match="has no phase"):
        train_in(tmp_path / "run", replace(TOY_PRESET, recipe=Recipe()), photos)
    with pytest.raises(RecipeError, match="batch_size 2 found; it does not divide over 1 proc"):
        train_in(tmp_path / "run", TOY_PRESET, photos, accumulate=3)
