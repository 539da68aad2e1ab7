"""Recipes from files and settings: what is changed, and what is said where it can't be."""

from dataclasses import replace
from pathlib import Path

import pytest

from diffir.data import MILD, Holes, SecondOrder
from diffir.errors import RecipeError
from diffir.presets import RECIPES, Preset, choose
from diffir.recipe import Milestones, Recipe


def chosen(name: str, *settings: str) -> Recipe:
    preset: Preset = choose(RECIPES, name, settings)
    assert preset.recipe is not None
    return preset.recipe


def test_without_changes_it_is_the_recipe_of_the_preset() -> None:
    for name, preset in RECIPES.items():
        assert choose(RECIPES, name) == preset


def test_the_network_of_a_recipe_can_be_changed_as_well(tmp_path: Path) -> None:
    changed = choose(RECIPES, "sr-x4-lite", ["network.timesteps=8", "network.prediction=epsilon"])
    before = RECIPES["sr-x4-lite"].config
    assert changed.config == replace(before, timesteps=8, prediction="epsilon")
    (tmp_path / "mine.yaml").write_text("preset: sr-x4-lite\nnetwork: {num_blocks: [1, 2, 3, 4]}\n")
    assert choose(RECIPES, str(tmp_path / "mine.yaml")).config.num_blocks == (1, 2, 3, 4)


def test_settings_change_values_at_any_depth_and_the_last_one_counts() -> None:
    recipe = chosen(
        "sr-x4-lite",
        *("stage1.steps=7", "stage1.steps=9", "gradient_clip=null", "augment.mixup=0.5"),
        *("degradation=mild", "degradation.second.jpeg_quality=[40, 50]"),
    )
    assert (recipe.stage1.steps, recipe.gradient_clip, recipe.augment.mixup) == (9, None, 0.5)
    assert recipe.prior == RECIPES["sr-x4-lite"].recipe.prior  # type: ignore[union-attr]
    assert isinstance(recipe.degradation, SecondOrder)
    assert recipe.degradation.second.jpeg_quality == (40, 50)
    assert recipe.degradation.first == MILD.first


def test_schedules_are_chosen_by_their_kind() -> None:
    setting = "joint.schedule={kind: milestones, steps: [100, 200]}"
    assert chosen("sr-x4-lite", setting).joint.schedule == Milestones(steps=(100, 200))


def test_a_file_says_its_preset_and_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "preset: inpaint-lite\n"
        "seed: 3\n"
        "degradation:\n"
        "  masks: {kinds: [[{kind: boxes, count: [1, 1]}, 1]]}\n"
        "stage1: {growth: [{from_step: 100, lq_size: 256, batch_size: 2}]}\n"
    )
    recipe = chosen(str(file), "joint.steps=0")
    assert (recipe.seed, recipe.joint.steps) == (3, 0)
    assert isinstance(recipe.degradation, Holes)
    assert [kind.kind for kind, _ in recipe.degradation.masks.kinds] == ["boxes"]
    assert recipe.stage1.sizes(99) == (128, 8)
    assert recipe.stage1.sizes(100) == (256, 2)


def test_a_degradation_of_another_kind_replaces_the_one_there_was(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("preset: sr-x4-lite\ndegradation: {kind: second-order, context: 4}\n")
    assert chosen(str(file)).degradation == SecondOrder(context=4)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("stage1.step=3", r"no setting 'stage1\.step'; did you mean steps"),
        ("stages1.steps=3", r"no setting 'stages1'; did you mean stage1"),
        ("stage1.steps=many", r"stage1\.steps: .* \('many' found\)"),
        ("stage1.steps=-1", r"stage1\.steps: .* \(-1 found\)"),
        ("seed=2024-13-45", r"'seed=2024-13-45' has an unreadable value"),
        ("seed=0b_", "has an unreadable value"),
        ("stage1.batch_size=true", "stage1: batch_size True found .* not a switch"),
        ("gradient_clip=yes", "gradient_clip True found .* not a switch; give a number"),
        ("stage1.adam_betas=[no, 0.9]", "not a switch"),
        (
            "degradation={kind: second-order, first: {resize_odds: {keep: true}}}",
            "keep True found .* not a switch",
        ),
        ("network.dim=true", "network: dim True found"),
        ("augment.mixup_beta=.inf", r"augment\.mixup_beta: .* finite number \(inf found\)"),
        ("gradient_clip=.nan", "finite number"),
        ("degradation={kind: holes, masks: {kinds: [[{kind: boxes}, .inf]]}}", "finite number"),
        ("degradation=pubished", "'pubished' found; wanted one of published"),
        ("stage1.steps", "wanted KEY=VALUE"),
        ("stage1=[", "has an unreadable value"),
        ("network.timestep=3", r"no setting 'network\.timestep'; did you mean timesteps"),
        ("network.upscale=3", "network: .*each must be 1, 2 or 4"),
        ("network.dim=wide", "network: dim: .*'wide' found"),
    ],
)
def test_a_setting_that_does_not_fit_is_a_sentence(setting: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence) as caught:
        chosen("sr-x4-lite", setting)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed: 1", "names no preset"),
        ("preset: sr-x5", "'sr-x5' has no recipe; take one of sr-x4-lite"),
        ("preset: [", "is not valid YAML"),
        ("preset: sr-x4-lite\nseed: 2024-02-30", r"is not valid YAML \(day is out of range"),
        ("preset: sr-x4-lite\nsed: 1", "no setting 'sed'; did you mean seed"),
    ],
)
def test_a_file_that_does_not_fit_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(RecipeError, match=sentence):
        chosen(str(tmp_path / "mine.yaml"))
    with pytest.raises(RecipeError, match="No such file"):
        chosen(str(tmp_path / "gone.yaml"))


def test_paths_of_a_file_count_from_its_folder_and_those_of_settings_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipes").mkdir()
    file = tmp_path / "recipes/mine.yaml"
    file.write_text("preset: toy-sr\nfinetune: {adversary: {weights: d.safetensors}}\n")
    monkeypatch.chdir(tmp_path)
    for words in (("recipes/mine.yaml",), (str(file), "seed=1")):
        assert weights_of(*words) == tmp_path.resolve() / "recipes/d.safetensors"
    setting = "finetune.adversary.weights=d.safetensors"
    assert weights_of(str(file), setting) == tmp_path.resolve() / "d.safetensors"


def weights_of(name: str, *settings: str) -> Path | None:
    """The discriminator that fine-tuning begins with."""
    phase = chosen(name, *settings).finetune
    assert phase is not None
    assert phase.adversary is not None
    return phase.adversary.weights
