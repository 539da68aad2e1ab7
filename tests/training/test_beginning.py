"""What a run begins with: weights that fit are taken, all others refused in a sentence."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diffir.checkpoints import Checkpoint
from diffir.errors import RecipeError, WeightsError
from diffir.model import DiffIRS1, DiffIRS2
from diffir.presets import PRESETS, RECIPES, Preset
from diffir.recipe import Adversary, MaskedL1, Recipe, VGG16Features, VGG19Features, WideFeatures
from diffir.training.beginning import beginning_of

SR, INPAINT = RECIPES["toy-sr"], RECIPES["toy-inpaint"]
CONFIG = SR.config


def changed(preset: Preset = SR, **values: Any) -> Preset:
    """The preset with other values in its recipe."""
    assert preset.recipe is not None
    return replace(preset, recipe=preset.recipe.model_copy(update=values))


def with_last_phase(**values: Any) -> Preset:
    """The preset with other values in its last phase."""
    assert SR.recipe is not None
    assert SR.recipe.finetune is not None
    return changed(finetune=SR.recipe.finetune.model_copy(update=values))


STAGE2 = changed(stage1=None)
FINETUNE = changed(stage1=None, prior=None, joint=None)


def weights(stage: int = 1, task: str = "sr", **numbers: Any) -> Checkpoint:
    config = replace(CONFIG, **numbers)
    return Checkpoint(model=(DiffIRS1 if stage == 1 else DiffIRS2)(config), task=task)


def test_a_recipe_with_all_phases_needs_nothing_and_may_go_on_with_a_stage_1() -> None:
    nothing = beginning_of(SR)
    assert (nothing.teacher, nothing.start) == (None, None)
    start = weights()
    assert beginning_of(SR, start=start).start is start.model


def test_stage_2_learns_from_a_teacher_and_may_go_on_with_a_stage_2() -> None:
    teacher, start = weights(), weights(stage=2)
    found = beginning_of(STAGE2, teacher, start)
    assert found.teacher is teacher.model
    assert found.start is start.model


def test_fine_tuning_needs_a_start_and_no_teacher() -> None:
    start = weights(stage=2)
    assert beginning_of(FINETUNE, start=start).start is start.model


def test_a_teacher_serves_every_kind_of_diffusion() -> None:
    teacher = weights(timesteps=8, prediction="epsilon", beta_schedule="linear", beta_end=0.9)
    assert beginning_of(STAGE2, teacher).teacher is teacher.model


@pytest.mark.parametrize(
    ("preset", "files", "sentence"),
    [
        (STAGE2, {}, "toy-sr trains stage 2 and has no stage-1 teacher; .*--teacher"),
        (changed(stage1=None, joint=None), {}, "has no stage-1 teacher"),
        (
            SR,
            {"teacher": weights()},
            "a teacher was given for toy-sr, which trains its own stage 1",
        ),
        (FINETUNE, {}, "toy-sr only fine-tunes and has no network to start from; .*--from"),
        (
            changed(diffusion_training="single_step", finetune=None),
            {},
            "single_step found with a joint phase or fine-tuning in toy-sr",
        ),
        (
            changed(diffusion_training="single_step", joint=None),
            {},
            "single_step found with a joint phase or fine-tuning",
        ),
        (PRESETS["deblur"], {}, "deblur has no recipe"),
        (replace(SR, recipe=Recipe()), {}, "the recipe of toy-sr has no phase"),
        (
            changed(pixel_loss=MaskedL1()),
            {},
            "a loss with masks found for task sr, which has none; choose pixel_l1",
        ),
        (
            with_last_phase(adversary=Adversary(mask_as_target=True)),
            {},
            "a loss with masks found for task sr",
        ),
    ],
)
def test_recipes_that_lack_or_refuse_a_network_are_a_sentence(
    preset: Preset, files: dict[str, Checkpoint], sentence: str
) -> None:
    with pytest.raises(RecipeError, match=sentence):
        beginning_of(preset, **files)


@pytest.mark.parametrize(
    ("preset", "files", "sentence"),
    [
        (
            STAGE2,
            {"teacher": weights(stage=2)},
            r"the teacher is of stage 2 \(for inference\); toy-sr needs one of stage 1 \(sees",
        ),
        (SR, {"start": weights(stage=2)}, "the start is of stage 2 .* needs one of stage 1"),
        (FINETUNE, {"start": weights()}, "the start is of stage 1 .* needs one of stage 2"),
        (
            STAGE2,
            {"teacher": weights(task="deblur")},
            "the teacher is of task deblur; toy-sr trains task sr",
        ),
        (
            STAGE2,
            {"teacher": weights(dim=16)},
            "the teacher does not fit toy-sr: dim 16 found, 8 wanted; give weights of that",
        ),
        (
            STAGE2,
            {"teacher": weights(), "start": weights(stage=2, ipr_dim=32, timesteps=8)},
            "the start does not fit toy-sr: ipr_dim 32 found, 64 wanted, timesteps 8 found, 4",
        ),
    ],
)
def test_weights_that_do_not_fit_are_a_sentence(
    preset: Preset, files: dict[str, Checkpoint], sentence: str
) -> None:
    with pytest.raises(WeightsError, match=sentence):
        beginning_of(preset, **files)


def test_single_steps_serve_the_prior_alone() -> None:
    preset = changed(diffusion_training="single_step", joint=None, finetune=None)
    assert beginning_of(preset).teacher is None


def test_masks_serve_inpainting() -> None:
    assert beginning_of(INPAINT).teacher is None


@pytest.mark.parametrize(
    ("loss", "file"),
    [
        (VGG19Features(), "vgg19-dcbb9e9d.pth"),
        (VGG16Features(), "vgg16-397923af.pth"),
        (WideFeatures(), "ade20k-resnet50dilated-ppm_deepsup/encoder_epoch_20.pth"),
    ],
)
def test_a_loss_whose_network_is_not_here_names_the_file_and_the_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: Any, file: str
) -> None:
    monkeypatch.setenv("DIFFIR_WEIGHTS", str(tmp_path / "mine"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    preset = with_last_phase(perceptual=loss)
    with pytest.raises(WeightsError) as caught:
        beginning_of(preset)
    words = str(caught.value)
    assert words.startswith(file)
    assert f"in none of {tmp_path / 'mine'}, {tmp_path / 'hub'}" in words
    assert words.endswith("or train without (--set PHASE.perceptual=null)")
    assert "\n" not in words
