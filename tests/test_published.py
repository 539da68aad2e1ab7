"""The published trainings hold the numbers of the paper and of its code; the toys run."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from diffir.cli.app import app
from diffir.data import Bicubic, Holes, MotionBlur, SecondOrder, unfit
from diffir.data.masks import TRAINING
from diffir.loading import load_checkpoint
from diffir.model import DiffIRS2
from diffir.presets import PRESETS, RECIPES, Preset
from diffir.recipe import MaskedL1, Phase, PixelL1, Recipe, VGG19Features, WideFeatures
from diffir.recipe.losses import ADVERSARIES
from diffir.training.schedules import learning_rate

K = 1000
REAL = [f"real-x{scale}{usm}" for usm in ("", "-usm") for scale in (4, 2, 1)]
INPAINTING = {
    "inpaint-celeba": (40 * 812, 32),
    "inpaint": (40 * 25 * K, 32),
    "inpaint-big": (40 * 25 * K, 120),
}
PUBLISHED = ["deblur", "sr-x4", *REAL, *INPAINTING]
LITE = {
    "sr-x4-lite",
    "sr-x2-lite",
    "real-x4-lite",
    "real-x4-lite-detail",
    "deblur-lite",
    "inpaint-lite",
}
TOYS = ["toy-sr", "toy-real", "toy-deblur", "toy-inpaint"]


def recipe_of(name: str) -> Recipe:
    recipe = RECIPES[name].recipe
    assert recipe is not None
    return recipe


def phase_of(name: str, phase: str) -> Phase:
    return recipe_of(name).phases()[phase]


def rates(phase: Phase, *steps: int) -> list[float]:
    return [learning_rate(phase, step) for step in steps]


def sizes(phase: Phase) -> list[tuple[int, int, int]]:
    """(steps at it, LQ side, batch) of each size that a phase grows through."""
    starts = [0, *(growth.from_step for growth in phase.growth)]
    ends = [*starts[1:], phase.steps]
    return [(end - at, *phase.sizes(at)) for at, end in zip(starts, ends, strict=True)]


def test_trainings_have_these_names_and_networks() -> None:
    assert RECIPES.keys() == {*PUBLISHED, *LITE, *TOYS}
    assert all(name == preset.name for name, preset in RECIPES.items())
    networks = {
        "deblur": "deblur",
        "sr-x4": "sr-x4",
        **{name: f"sr-{name[5:7]}" for name in REAL},
        "inpaint-celeba": "inpaint",
        "inpaint": "inpaint",
        "inpaint-big": "inpaint-big",
    }
    for name, network in networks.items():
        assert RECIPES[name].config == PRESETS[network].config
        assert RECIPES[name].task == PRESETS[network].task


@pytest.mark.parametrize("preset", RECIPES.values(), ids=RECIPES)
def test_each_recipe_fits_its_network(preset: Preset) -> None:
    recipe = recipe_of(preset.name)
    assert unfit(recipe.degradation, preset.task.name, preset.config.scale) is None
    pool = getattr(recipe.degradation, "pool_size", 0)
    for side, batch in recipe.all_sizes():
        assert side % preset.config.multiple_of == 0
        assert not pool or pool >= batch
    for phase in recipe.phases().values():
        assert all(growth.from_step < phase.steps for growth in phase.growth)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_trainings_have_in_common(name: str) -> None:
    recipe = recipe_of(name)
    assert recipe.diffusion_training == "all_steps"
    assert (recipe.ipr_loss.kind, recipe.ipr_loss.weight) == ("ipr_l1", 1)
    inpaints = name in INPAINTING
    assert recipe.gradient_clip == (1 if inpaints else None)
    assert recipe.ema_decay == (0 if inpaints else 0.999)
    for key, phase in recipe.phases().items():
        second = 0.999 if inpaints or (name, key) == ("deblur", "stage1") else 0.99
        assert phase.adam_betas == (0.9, second)
        assert phase.warmup_steps == 0
        assert learning_rate(phase, 0) == (1e-4 if key == "finetune" and name in REAL else 2e-4)


def test_deblurring_restarts_in_stage_1() -> None:
    phase = phase_of("deblur", "stage1")
    assert phase.steps == 300 * K
    rising = rates(phase, *range(0, 92 * K, K))
    assert rising == sorted(rising)
    assert learning_rate(phase, 92 * K - 1) == pytest.approx(2.85e-4, rel=1e-3)
    assert rates(phase, 92 * K, 196 * K) == pytest.approx([2e-4, (2e-4 + 1e-6) / 2])
    assert learning_rate(phase, 300 * K - 1) == pytest.approx(1e-6, rel=1e-3)


def test_deblurring_has_a_prior_phase_then_halves_its_rate() -> None:
    prior, joint = phase_of("deblur", "prior"), phase_of("deblur", "joint")
    assert (prior.steps, joint.steps) == (100 * K, 300 * K)
    wanted = [2e-4, 2e-4, 2e-5, 2e-5]
    assert rates(prior, 0, 60 * K - 1, 60 * K, 100 * K - 1) == pytest.approx(wanted)
    edges = [at + beside for at in (80 * K, 160 * K, 240 * K) for beside in (-1, 0)]
    wanted = [2e-4, 1e-4, 1e-4, 5e-5, 5e-5, 2.5e-5]
    assert rates(joint, *edges) == pytest.approx(wanted)


def test_deblurring_grows_its_crops_on_eight_gpus() -> None:
    sides, each = (192, 256, 320, 384, 464, 512), (8, 4, 2, 2, 1, 1)
    batches = [8 * pictures for pictures in each]
    first = (92 * K, 80 * K, 38 * K, 33 * K, 33 * K, 24 * K)
    rows = list(zip(first, sides, batches, strict=True))
    assert sizes(phase_of("deblur", "stage1")) == rows
    second = (150 * K, 60 * K, 50 * K, 60 * K, 40 * K, 40 * K)
    wanted = list(zip(second, sides, batches, strict=True))
    (prior,), joint = sizes(phase_of("deblur", "prior")), sizes(phase_of("deblur", "joint"))
    assert prior == (100 * K, 192, 64)
    assert [(joint[0][0] + 100 * K, *joint[0][1:]), *joint[1:]] == wanted


def test_deblurring_has_l1_alone() -> None:
    recipe = recipe_of("deblur")
    assert [*recipe.phases()] == ["stage1", "prior", "joint"]
    assert recipe.pixel_loss == PixelL1()
    assert isinstance(recipe.degradation, MotionBlur)
    assert (recipe.augment.flips, recipe.augment.turns) == (True, True)
    assert all(not p.adversary and not p.perceptual for p in recipe.phases().values())


def test_super_resolution_trains_jointly_and_halves_its_rate_twice() -> None:
    recipe = recipe_of("sr-x4")
    assert [*recipe.phases()] == ["stage1", "joint", "finetune"]
    assert isinstance(recipe.degradation, Bicubic)
    for name in ("stage1", "joint"):
        phase = phase_of("sr-x4", name)
        edges = (500 * K - 1, 500 * K, 700 * K - 1, 700 * K, 1000 * K - 1)
        assert rates(phase, *edges) == pytest.approx([2e-4, 1e-4, 1e-4, 5e-5, 5e-5])
        assert sizes(phase) == [(1000 * K, 64, 64)]
        assert (phase.perceptual, phase.adversary) == (None, None)


@pytest.mark.parametrize(
    ("name", "halved", "first", "batch"),
    [("sr-x4", 200 * K, 2e-4, 64), *((name, 300 * K, 1e-4, 72) for name in REAL)],
)
def test_gan_training_follows(name: str, halved: int, first: float, batch: int) -> None:
    phase = phase_of(name, "finetune")
    assert phase.steps == 400 * K
    assert phase.batch_size == batch
    wanted = [first, first / 2, first / 2]
    assert rates(phase, halved - 1, halved, 400 * K - 1) == pytest.approx(wanted)
    assert phase.perceptual == VGG19Features()
    assert phase.adversary == ADVERSARIES["unet"]
    assert recipe_of(name).pixel_loss == PixelL1()


@pytest.mark.parametrize("name", REAL)
def test_real_world_super_resolution_has_a_prior_phase(name: str) -> None:
    recipe, scale = recipe_of(name), RECIPES[name].config.scale
    assert [*recipe.phases()] == ["stage1", "prior", "joint", "finetune"]
    steps = {key: phase.steps // K for key, phase in recipe.phases().items()}
    assert steps == {"stage1": 1000, "prior": 100, "joint": 900, "finetune": 400}
    assert recipe.all_sizes() == {(256 // scale, 8 * 9)}
    assert rates(phase_of(name, "stage1"), 0, 1000 * K - 1) == [2e-4, 2e-4]
    prior, joint = phase_of(name, "prior"), phase_of(name, "joint")
    assert rates(prior, 60 * K - 1, 60 * K) == pytest.approx([2e-4, 2e-5])
    assert rates(joint, 600 * K - 1, 600 * K, 900 * K - 1) == pytest.approx([2e-4, 1e-4, 1e-4])
    assert (recipe.augment.flips, recipe.augment.turns) == (True, False)
    assert isinstance(recipe.degradation, SecondOrder)
    assert recipe.degradation.sharpen_gt == name.endswith("-usm")
    assert recipe.degradation.pool_size == 180


@pytest.mark.parametrize("name", INPAINTING)
def test_inpainting_is_adversarial_in_both_stages(name: str) -> None:
    recipe, (steps, batch) = recipe_of(name), INPAINTING[name]
    assert [*recipe.phases()] == ["stage1", "joint"]
    assert recipe.degradation == Holes(masks=TRAINING)
    assert recipe.pixel_loss == MaskedL1(known_weight=10, hole_weight=0)
    for phase in recipe.phases().values():
        assert sizes(phase) == [(steps, 256, batch)]
        assert rates(phase, 0, steps - 1) == [2e-4, 2e-4]
        assert phase.perceptual == WideFeatures(weight=30)
        assert phase.adversary == ADVERSARIES["patch"]


@pytest.mark.parametrize("name", ["toy-sr", "toy-deblur", "toy-real"])
def test_toys_train_in_seconds(tmp_path: Path, name: str) -> None:
    settings = [word for p in recipe_of(name).phases() for word in ("--set", f"{p}.steps=2")]
    words = ["train", name, "--data", "dead-leaves", "-o", str(tmp_path), "--device", "cpu"]
    result = CliRunner().invoke(app, [*words, *settings])
    assert result.exit_code == 0, result.output
    checkpoint = load_checkpoint(tmp_path / f"{name}.safetensors")
    assert isinstance(checkpoint.model, DiffIRS2)
    assert checkpoint.task == RECIPES[name].task.name


@pytest.mark.parametrize("name", TOYS)
def test_toys_are_small(name: str) -> None:
    with torch.device("meta"):
        model = DiffIRS2(RECIPES[name].config)
    assert sum(parameter.numel() for parameter in model.parameters()) < 500_000
    steps = sum(phase.steps for phase in recipe_of(name).phases().values())
    assert steps <= 80
