"""What recipes do to the prior in stage 1: terms, noise, rates; alone, in shares, and resumed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from diffir.checkpoints import format
from diffir.data import Batch, Draws
from diffir.errors import RecipeError
from diffir.loading import load_checkpoint
from diffir.losses.variety import ipr_covariance, ipr_entropy, ipr_variance
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2
from diffir.presets import RECIPES, Preset, choose
from diffir.recipe import PixelL1, Recipe
from diffir.training.criteria import RestorationLoss
from diffir.training.ema import average_of, update_average
from diffir.training.fabric import opened_fabric
from diffir.training.learner import Learner, groups_of
from diffir.training.stages import Stage1
from trainer import train_in, train_in_parts

TINY = replace(RECIPES["toy-sr"].config, upscale=1, ipr_dim=8)
STAGE_1 = ("stage1.steps=4", "stage1.lq_size=8", "prior=null", "joint=null", "finetune=null")
ALL = (
    "teacher_noise=0.5",
    "ipr_variance_weight=2",
    "ipr_covariance_weight=100",
    "modulation_rate=4",
    "network.ipr_norm=batch",
    "network.identity_modulation=true",
    "network.teacher_blur=1",
    "network.cpen_pooling=mean_std",
)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def batch_of(size: int = 4) -> Batch:
    return Batch(lq=drawn(size, 3, 16, 16), gt=drawn(size, 3, 16, 16, seed=1))


def stage_1(config: DiffIRConfig = TINY, **values: Any) -> Stage1:
    torch.manual_seed(0)
    return Stage1(DiffIRS1(config), RestorationLoss(PixelL1()), Recipe(**values))


def preset_of(*settings: str) -> Preset:
    return choose(RECIPES, "toy-sr", (*STAGE_1, *settings))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, pixels in {"a": data.astronaut()[:48, 150:214], "b": data.coffee()[:48, :64]}.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


# Terms


def test_by_default_stage_1_is_the_authors() -> None:
    recipe = Recipe()
    assert (recipe.teacher_noise, recipe.variety(), recipe.modulation_rate) == (0, {}, 1)
    stage, batch = stage_1(), batch_of()
    noise = stage.noise(Draws((0,), (0, 1)))
    terms, restored = stage(batch, noise)
    assert noise == {}
    assert terms.keys() == {"pixel_l1"}
    assert torch.equal(restored, stage.model(batch.lq, batch.gt))
    assert [factor for factor, _ in groups_of(stage)] == [1]


def test_variety_is_that_of_vicreg() -> None:
    ipr = 0.7 * drawn(5, 4)
    z = ipr.double().numpy()
    covariance = np.cov(z.T)
    std = np.sqrt(np.diag(covariance) + 1e-4)
    assert float(ipr_variance(ipr)) == pytest.approx(np.maximum(0, 1 - std).mean(), rel=1e-5)
    apart = (np.square(covariance).sum() - np.square(np.diag(covariance)).sum()) / 4
    assert float(ipr_covariance(ipr)) == pytest.approx(apart, rel=1e-4)
    assert float(ipr_variance(100 * ipr)) == 0


def test_entropy_is_told_by_how_far_the_nearest_is() -> None:
    ipr = drawn(5, 4)
    z = ipr.double().numpy()
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    apart = np.linalg.norm(z[:, None] - z, axis=2) + 9 * np.eye(5)
    assert float(ipr_entropy(ipr)) == pytest.approx(-np.log(apart.min(axis=1)).mean(), rel=1e-4)
    assert float(ipr_entropy(7 * ipr)) == pytest.approx(float(ipr_entropy(ipr)), rel=1e-4)
    opposite = torch.cat([ipr[:1], -2 * ipr[:1]])
    assert float(ipr_entropy(opposite)) == pytest.approx(-np.log(2))
    twins = torch.cat([ipr, ipr]).requires_grad_()
    ipr_entropy(twins).backward()
    assert twins.grad is not None
    assert twins.grad.isfinite().all()


def test_bfloat16_does_not_change_which_picture_is_the_nearest() -> None:
    ipr = (0.1 + drawn(1, 64)) * (1 + 0.02 * drawn(8, 64, seed=1))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = ipr_entropy(ipr)
    torch.testing.assert_close(rounded, ipr_entropy(ipr))


def test_variety_is_weighted_beside_the_pixels_and_reaches_cpen() -> None:
    stage, batch = stage_1(ipr_variance_weight=3, ipr_covariance_weight=5), batch_of()
    terms, restored = stage(batch, {})
    ipr = stage.model.extract_ipr(batch.lq, batch.gt)
    assert [*terms] == ["pixel_l1", "ipr_variance", "ipr_covariance"]
    torch.testing.assert_close(terms["ipr_variance"], 3 * ipr_variance(ipr))
    torch.testing.assert_close(terms["ipr_covariance"], 5 * ipr_covariance(ipr))
    torch.testing.assert_close(restored, stage.model.dirformer(batch.lq, ipr))
    (terms["ipr_variance"] + terms["ipr_covariance"]).backward()
    assert all(p.grad is not None for p in stage.model.cpen.parameters())
    assert [*stage_1(ipr_variance_weight=3)(batch, {})[0]] == ["pixel_l1", "ipr_variance"]
    terms = stage_1(ipr_entropy_weight=2)(batch, {})[0]
    assert [*terms] == ["pixel_l1", "ipr_entropy"]
    torch.testing.assert_close(terms["ipr_entropy"], 2 * ipr_entropy(ipr))


# Noise


def test_noise_on_z_is_as_large_as_the_recipe_says_and_variety_does_not_see_it() -> None:
    stage, batch = stage_1(teacher_noise=0.5, ipr_variance_weight=1), batch_of()
    noise = stage.noise(Draws((0, 1, 2), (0, 1, 2, 3)))
    assert noise.keys() == {"ipr"}
    ipr = stage.model.extract_ipr(batch.lq, batch.gt)
    noisy = ipr + 0.5 * ipr.square().mean().sqrt() * noise["ipr"]
    terms, restored = stage(batch, noise)
    torch.testing.assert_close(restored, stage.model.dirformer(batch.lq, noisy))
    torch.testing.assert_close(terms["ipr_variance"], ipr_variance(ipr))


def test_noise_on_z_belongs_to_a_picture_and_is_gaussian() -> None:
    stage = stage_1(teacher_noise=0.5)
    whole = stage.noise(Draws((0, 1, 2), tuple(range(400))))["ipr"]
    assert torch.equal(stage.noise(Draws((0, 1, 2), (7, 3)))["ipr"], whole[[7, 3]])
    assert not torch.equal(stage.noise(Draws((0, 1, 3), (7,)))["ipr"], whole[[7]])
    assert whole.shape == (400, 8)
    assert abs(whole.mean()) < 0.05
    assert abs(whole.std() - 1) < 0.05


def test_larger_iprs_do_not_escape_the_noise() -> None:
    """The size has no gradient, and noise grows with it."""
    stage, batch = stage_1(teacher_noise=0.5), batch_of()
    seen = []
    stage.model.dirformer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    noise = stage.noise(Draws((0, 1, 2), (0, 1, 2, 3)))
    ipr_of = stage.model.ipr_of
    for factor in (1, 10):
        stage.model.ipr_of = lambda few, by=factor: by * ipr_of(few)  # type: ignore[method-assign]
        stage(batch, noise)
    torch.testing.assert_close(seen[1], 10 * seen[0])
    source = torch.ones(4, 8, requires_grad=True)
    stage.model.ipr_of = lambda few: source  # type: ignore[method-assign]
    stage(batch, noise)
    (slope,) = torch.autograd.grad(seen[2].sum(), source)
    assert torch.equal(slope, torch.ones(4, 8))


# Rates


def moved_by_a_step(factor: float) -> dict[str, Tensor]:
    """How far each parameter is after a step of Adam."""
    stage = stage_1(modulation_rate=factor)
    before = {name: p.detach().clone() for name, p in stage.named_parameters()}
    fabric = opened_fabric(torch.device("cpu"))
    learner = Learner(fabric, stage, learning_rate=1e-3, adam_betas=(0.9, 0.99))
    learner.step([(batch_of(), {})], 1e-3)
    return {name: p.detach() - before[name] for name, p in stage.named_parameters()}


def test_what_makes_and_takes_the_ipr_learns_as_much_faster_as_the_recipe_says() -> None:
    plain, fast = moved_by_a_step(1), moved_by_a_step(4)
    prior = {name for name in plain if ".cpen." in name or ".modulation" in name}
    assert 0 < len(prior) < len(plain)
    for name, step in plain.items():
        assert step.abs().max() > 1e-5
        wanted = 4 * step if name in prior else step
        torch.testing.assert_close(fast[name], wanted, rtol=1e-3, atol=1e-6, msg=name)


def test_a_constant_is_as_fast_as_what_it_stands_for() -> None:
    stage = stage_1(replace(TINY, constant_ipr=True, timesteps=0), modulation_rate=2)
    (_, others), (factor, prior) = groups_of(stage)
    assert factor == 2
    assert any(parameter is stage.model.cpen.ipr for parameter in prior)
    assert len(others) + len(prior) == len([*stage.parameters()])


# Whole trainings


def test_the_average_has_averaged_moments() -> None:
    model = DiffIRS1(replace(TINY, ipr_norm="batch"))
    average = average_of(model)
    model.norm.mean.fill_(1.0)
    update_average(average, model, 0.75)
    torch.testing.assert_close(average.norm.mean, torch.full((8,), 0.25))


def states_of(folder: Path) -> dict[str, Tensor]:
    """The network and its average at the end of stage 1, by name."""
    state = torch.load(folder / "states" / "stage1-00000004.pt", weights_only=True)
    parts = ("model", "average")
    return {f"{what} {name}": x for what in parts for name, x in state[what].items()}


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, photos: Path) -> None:
    preset = preset_of(*ALL)
    train_in(tmp_path / "whole", preset, photos)
    train_in_parts(tmp_path / "parts", preset, photos)
    whole, parts = states_of(tmp_path / "whole"), states_of(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())
    assert not torch.equal(whole["average norm.mean"], torch.zeros(64))


def test_stage_2_learns_from_a_teacher_with_departures_and_the_file_tells_of_them(
    tmp_path: Path, photos: Path
) -> None:
    phases = [
        f"{phase}.{size}" for phase in ("prior", "joint") for size in ("steps=2", "lq_size=8")
    ]
    settings = ["stage1.steps=2", "stage1.lq_size=8", *phases, "finetune=null", *ALL]
    weights = train_in(tmp_path / "run", choose(RECIPES, "toy-sr", settings), photos)
    model = load_checkpoint(weights).model
    assert isinstance(model, DiffIRS2)
    assert (model.config.ipr_norm, model.config.teacher_blur) == ("batch", 1)
    assert model(drawn(1, 3, 16, 16), drawn(1, 64)).isfinite().all()
    recipe = format.read_info(weights).training["recipe"]
    assert [recipe[name] for name in ("teacher_noise", "modulation_rate")] == [0.5, 4]
    assert [recipe[f"ipr_{kind}_weight"] for kind in ("variance", "covariance")] == [2, 100]
    assert "ipr_covariance" in (tmp_path / "run" / "log.jsonl").read_text()
    teacher = load_checkpoint(tmp_path / "run" / "toy-sr-stage1.safetensors").model
    assert isinstance(teacher, DiffIRS1)
    assert not torch.equal(teacher.norm.std, torch.ones(64))


def test_stage_1_alone_trains_a_constant_and_its_file_is_for_use(
    tmp_path: Path, photos: Path
) -> None:
    constant = ("network.timesteps=0", "network.constant_ipr=true")
    weights = train_in(tmp_path / "run", preset_of(*constant), photos)
    read = load_checkpoint(weights)
    assert isinstance(read.model, DiffIRS2)
    found, lq = states_of(tmp_path / "run"), drawn(1, 3, 16, 16)
    half = found["average cpen.ipr"].half().float()
    assert torch.equal(read.model.cpen.ipr, half)
    assert torch.equal(read.model(lq, drawn(1, 64)), read.model.dirformer(lq, half[None]))
    for phase in ("prior", "joint"):
        more = [f"{phase}={{steps: 2, learning_rate: 0.1, batch_size: 4, lq_size: 8}}", *constant]
        with pytest.raises(RecipeError, match=f"{phase}=null"):
            train_in(tmp_path / phase, preset_of(*more), photos)


def test_a_bottleneck_belongs_to_the_prior() -> None:
    stage = stage_1(replace(TINY, ipr_bottleneck=3), modulation_rate=4)
    prior = groups_of(stage)[1][1]
    for part in (stage.model.narrow, stage.model.widen):
        assert all(any(p is other for other in prior) for p in part.parameters())


def test_a_run_from_before_departures_goes_on(tmp_path: Path, photos: Path) -> None:
    folder = tmp_path / "run"
    train_in(folder, preset_of(), photos)
    claim = json.loads((folder / "run.json").read_text())
    for name in ("identity_modulation", "ipr_norm", "cpen_pooling", "teacher_blur", "constant_ipr"):
        del claim["config"][name]
    for name in ("teacher_noise", "modulation_rate", "ipr_variance_weight"):
        del claim["recipe"][name]
    (folder / "run.json").write_text(json.dumps(claim))
    train_in(folder, preset_of(), photos)
    (folder / "run.json").write_text(json.dumps(claim))
    for setting in ("network.ipr_norm=batch", "teacher_noise=1"):
        with pytest.raises(RecipeError, match="another recipe"):
            train_in(folder, preset_of(setting), photos)


def test_a_constant_is_tuned_further_from_what_stage_1_left(tmp_path: Path, photos: Path) -> None:
    phase = "{steps: 1, learning_rate: 1.0e-12, batch_size: 4, lq_size: 8}"
    constant = ("network.timesteps=0", "network.constant_ipr=true", f"finetune={phase}")
    model = load_checkpoint(train_in(tmp_path / "run", preset_of(*constant), photos)).model
    before = load_checkpoint(tmp_path / "run" / "toy-sr-stage1.safetensors").model
    assert isinstance(model, DiffIRS2)
    assert isinstance(before, DiffIRS2)
    torch.testing.assert_close(model.state_dict(), before.state_dict(), rtol=0, atol=1e-6)
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert "ipr_l1" not in log


@pytest.mark.parametrize(
    "setting",
    [
        "network.ipr_norm=batch",
        "ipr_variance_weight=1",
        "ipr_covariance_weight=1",
        "ipr_entropy_weight=1",
    ],
)
def test_one_picture_has_no_spread(tmp_path: Path, photos: Path, setting: str) -> None:
    with pytest.raises(RecipeError, match="a batch of 1 in 1 parts"):
        train_in(tmp_path / "one", preset_of(setting, "stage1.batch_size=1"), photos)
    with pytest.raises(RecipeError, match="a batch of 4 in 4 parts"):
        train_in(tmp_path / "parts", preset_of(setting), photos, accumulate=4)
    assert not (tmp_path / "one" / "run.json").exists()


@pytest.mark.parametrize(
    "wrong", ["teacher_noise=-1", "ipr_variance_weight=-1", "modulation_rate=0"]
)
def test_values_out_of_range_are_refused(wrong: str) -> None:
    with pytest.raises(RecipeError, match=f"{wrong.split('=')[0]}: .* found"):
        preset_of(wrong)
