"""Losses and adversaries as recipes hold them: names, defaults, and what contradicts itself."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from diffir.errors import RecipeError
from diffir.presets import RECIPES
from diffir.recipe import (
    Adversary,
    Charbonnier,
    IPRLoss,
    MaskedL1,
    NegativePSNR,
    Phase,
    PixelL1,
    Recipe,
    VGG16Features,
    VGG19Features,
    WideFeatures,
)

PHASE: dict[str, Any] = {"steps": 1, "learning_rate": 1e-3, "batch_size": 1, "lq_size": 8}
PUBLISHED_PATCH = Adversary(
    discriminator="patch",
    width=64,
    loss="non_saturating",
    weight=10,
    learning_rate=1e-4,
    adam_betas=(0.9, 0.999),
    r1_weight=0.001,
    feature_matching_weight=100,
    mask_as_target=True,
)


def with_phase(**values: Any) -> Recipe:
    return Recipe.of({"joint": PHASE | values})


@pytest.mark.parametrize(
    ("place", "name", "wanted"),
    [
        ("pixel_loss", "pixel_l1", PixelL1()),
        ("pixel_loss", "charbonnier", Charbonnier()),
        ("pixel_loss", "masked_l1", MaskedL1()),
        ("pixel_loss", "psnr", NegativePSNR()),
        ("ipr_loss", "ipr_l1", IPRLoss()),
        ("ipr_loss", "ipr_l2", IPRLoss(kind="ipr_l2")),
        ("ipr_loss", "ipr_kl", IPRLoss(kind="ipr_kl")),
    ],
)
def test_losses_may_be_given_by_their_names(place: str, name: str, wanted: Any) -> None:
    found = getattr(Recipe.of({place: name}), place)
    assert found == wanted
    assert found == getattr(Recipe.of({place: {"kind": name}}), place)
    assert found.kind == name


@pytest.mark.parametrize(
    ("place", "name", "wanted"),
    [
        ("perceptual", "vgg19", VGG19Features()),
        ("perceptual", "vgg16", VGG16Features()),
        ("perceptual", "dilated_resnet50", WideFeatures()),
        ("adversary", "unet", Adversary()),
        ("adversary", "patch", PUBLISHED_PATCH),
    ],
)
def test_losses_of_a_phase_may_be_given_by_their_names(place: str, name: str, wanted: Any) -> None:
    phase = with_phase(**{place: name}).joint
    assert phase is not None
    assert getattr(phase, place) == wanted


def test_defaults_are_the_published_weights() -> None:
    layers = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1, "conv4_4": 1, "conv5_4": 1}
    last = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_3": 1, "conv4_3": 1, "conv5_3": 1}
    assert VGG16Features().layer_weights == last
    vgg, unet, recipe = VGG19Features(), Adversary(), Recipe()
    assert (vgg.weight, vgg.layer_weights, vgg.style_weight) == (1, layers, 0)
    assert WideFeatures().weight == 30
    assert (MaskedL1().known_weight, MaskedL1().hole_weight) == (10, 0)
    assert IPRLoss(kind="ipr_kl").temperature == 0.15
    assert (unet.discriminator, unet.loss, unet.width) == ("unet", "vanilla", 64)
    assert (unet.weight, unet.learning_rate, unet.adam_betas) == (1, 1e-4, (0.9, 0.99))
    assert (unet.r1_weight, unet.warmup_steps, unet.mask_as_target) == (0, 0, False)
    assert (recipe.pixel_loss, recipe.ipr_loss) == (PixelL1(weight=1), IPRLoss(weight=1))
    assert (recipe.ema_decay, recipe.diffusion_training) == (0.999, "all_steps")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"pixel_loss": "pixel_l2"}, "'pixel_l2' found; wanted one of pixel_l1"),
        ({"pixel_loss": "charbonier"}, "'charbonier' found; wanted one of charbonnier"),
        ({"ipr_loss": "kl"}, "'kl' found; wanted one of ipr_kl"),
        ({"joint": PHASE | {"adversary": "u-net"}}, "'u-net' found; wanted one of unet"),
        ({"joint": PHASE | {"perceptual": "vgg11"}}, "'vgg11' found; wanted one of vgg19"),
        (
            {"joint": PHASE | {"perceptual": {"kind": "vgg19", "layer_weights": {"conv9_9": 1}}}},
            "conv9_9",
        ),
        (
            {"joint": PHASE | {"perceptual": {"kind": "vgg16", "layer_weights": {"conv5_4": 1}}}},
            "layer 'conv5_4' found",
        ),
        (
            {"joint": PHASE | {"adversary": {"feature_matching_weight": 1}}},
            "feature matching found with the discriminator 'unet'; choose 'patch'",
        ),
        ({"joint": PHASE | {"adversary": {"width": 0}}}, r"width: .*\(0 found\)"),
        ({"pixel_loss": {"kind": "pixel_l1", "weight": -1}}, r"weight: .*\(-1 found\)"),
        ({"pixel_loss": {"kind": "pixel_l1", "eps": 1}}, "eps"),
    ],
)
def test_values_that_do_not_fit_are_a_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence) as caught:
        Recipe.of(values)
    assert "\n" not in str(caught.value)


def test_phases_run_in_the_order_of_the_method_and_may_be_left_out() -> None:
    recipe = Recipe.of({"finetune": PHASE, "stage1": PHASE, "joint": PHASE | {"lq_size": 16}})
    assert [*recipe.phases()] == ["stage1", "joint", "finetune"]
    assert recipe.all_sizes() == {(8, 1), (16, 1)}
    assert Recipe().phases() == {}


def test_recipes_survive_json() -> None:
    recipe = with_phase(
        adversary=PUBLISHED_PATCH.model_copy(update={"weights": Path("d.safetensors")}),
        perceptual=VGG19Features(style_weight=2),
        schedule={"kind": "restarts", "periods": [3, 4], "final_learning_rates": [0.1, 0.2]},
    )
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_survives_json(name: str) -> None:
    recipe = RECIPES[name].recipe
    assert recipe is not None
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    "wrong",
    [
        {"adam_betas": (1, 1)},
        {"adam_betas": (-1, 0.9)},
        {"learning_rate": float("inf")},
        {"learning_rate": -1},
    ],
)
def test_rates_and_decays_that_nothing_learns_by_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Phase(**{**PHASE, **wrong})


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_is_one_that_all_generators_take(seed: int) -> None:
    with pytest.raises(ValidationError, match="seed"):
        Recipe(seed=seed)
