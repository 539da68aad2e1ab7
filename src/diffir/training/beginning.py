"""What a run starts from: a recipe that fits its network, and earlier weights that fit both.

Everything is checked before the first step.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from diffir.checkpoints import Checkpoint
from diffir.errors import RecipeError, WeightsError
from diffir.losses import find_weights
from diffir.losses.resnet import ADE20K_WEIGHTS
from diffir.losses.vgg import VGG16_WEIGHTS, VGG19_WEIGHTS
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2
from diffir.presets import Preset
from diffir.recipe import MaskedL1, Phase, Recipe

from .adversary import DiscriminatorStage, load_discriminator

FREE = (
    *("timesteps", "beta_start", "beta_end", "beta_schedule", "prediction", "insert_variance"),
    *("denoiser_layers", "denoiser_residual"),
)
"""Settings that do not concern a teacher, so that one serves all kinds of diffusion."""


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Networks of earlier runs; each may be missing."""

    teacher: DiffIRS1 | None = None
    """A stage-1 network as the teacher, for a recipe without stage 1."""
    start: DiffIRS1 | DiffIRS2 | None = None
    """What the first phase starts from: of stage 1 if the recipe has that, else of stage 2."""


def recipe_of(preset: Preset) -> Recipe:
    """The recipe of a preset. Raises RecipeError where it has none."""
    if preset.recipe is None:
        raise RecipeError(f"{preset.name} has no recipe; train a network that has one")
    if not preset.recipe.phases():
        raise RecipeError(f"the recipe of {preset.name} has no phase; add one, for example joint")
    return preset.recipe


def beginning_of(
    preset: Preset, teacher: Checkpoint | None = None, start: Checkpoint | None = None
) -> Beginning:
    """The networks of weights files, if the preset's recipe can start from them.

    Raises:
        RecipeError: when the recipe lacks a network, or has no use for one.
        WeightsError: when one is of another stage, task or size, or a loss lacks its weights.
    """
    recipe = recipe_of(preset)
    require_losses(preset, recipe)
    require_possible(recipe, preset, teacher, start)
    if teacher:
        require_fit(teacher, preset, stage=1, role="the teacher")
    if start:
        stage = 1 if "stage1" in recipe.phases() else 2
        require_fit(start, preset, stage=stage, role="the start")
    return Beginning(
        teacher=teacher.model if teacher and isinstance(teacher.model, DiffIRS1) else None,
        start=start.model if start else None,
    )


def require_possible(
    recipe: Recipe, preset: Preset, teacher: Checkpoint | None, start: Checkpoint | None
) -> None:
    """Refuse a recipe that contradicts its network or lacks one; raises RecipeError."""
    phases = recipe.phases()
    channels = 4 if preset.task.wants_mask else 3
    if preset.config.in_channels != channels:
        raise RecipeError(
            f"in_channels {preset.config.in_channels} found in {preset.name}; task "
            f"{preset.task.name} needs {channels}"
        )
    if recipe.diffusion_training == "single_step" and not preset.config.timesteps:
        raise RecipeError(
            f"diffusion_training single_step with timesteps 0 found in {preset.name}; there is no "
            f"step to train, so set timesteps, or choose all_steps"
        )
    if recipe.diffusion_training == "single_step" and {"joint", "finetune"} & phases.keys():
        raise RecipeError(
            f"diffusion_training single_step found with a joint phase or fine-tuning in "
            f"{preset.name}; it trains only the prior, so leave them out (joint=null)"
        )
    if "stage1" in phases and teacher:
        raise RecipeError(
            f"a teacher was given for {preset.name}, which trains its own stage 1; "
            f"leave it out, or stage 1 (--set stage1=null)"
        )
    if "stage1" not in phases and teacher is None and {"prior", "joint"} & phases.keys():
        raise RecipeError(
            f"{preset.name} trains stage 2 and has no stage-1 teacher; "
            f"give the weights of one (--teacher), or a recipe with stage1"
        )
    if [*phases] == ["finetune"] and start is None:
        raise RecipeError(
            f"{preset.name} only fine-tunes and has no network to start from; "
            f"give the weights of one (--from)"
        )


def require_fit(checkpoint: Checkpoint, preset: Preset, *, stage: int, role: str) -> None:
    """Refuse a network of another stage, task or size; raises WeightsError."""
    if checkpoint.stage != stage:
        names = {1: "stage 1 (sees the ground truth)", 2: "stage 2 (for inference)"}
        raise WeightsError(
            f"{role} is of {names[checkpoint.stage]}; {preset.name} needs one of {names[stage]}"
        )
    if checkpoint.task != preset.task.name:
        raise WeightsError(
            f"{role} is of task {checkpoint.task}; {preset.name} trains task {preset.task.name}"
        )
    if stage == 1:
        ours = {name: getattr(preset.config, name) for name in FREE}
        differing = differences(replace(checkpoint.config, **ours), preset.config)
    else:
        differing = differences(checkpoint.config, preset.config)
    if differing:
        raise WeightsError(
            f"{role} does not fit {preset.name}: {', '.join(differing)}; "
            f"give weights of that network, or the recipe that trained them"
        )


def differences(found: DiffIRConfig, wanted: DiffIRConfig) -> list[str]:
    """The settings in which two networks differ, as phrases."""
    values = asdict(wanted)
    return [
        f"{name} {value} found, {values[name]} wanted"
        for name, value in asdict(found).items()
        if value != values[name]
    ]


def require_losses(preset: Preset, recipe: Recipe) -> None:
    """Refuse losses that need a mask without one, and those whose weights are not found."""
    phases = recipe.phases().values()
    needs_mask = isinstance(recipe.pixel_loss, MaskedL1) or any(
        phase.adversary and phase.adversary.mask_as_target for phase in phases
    )
    if needs_mask and not preset.task.wants_mask:
        raise RecipeError(
            f"a loss with masks found for task {preset.task.name}, which has none; "
            f"choose pixel_l1, and an adversary without mask_as_target"
        )
    require_perceptual(phases)
    for phase in phases:
        if phase.adversary and phase.adversary.weights:
            stage = DiscriminatorStage(phase.adversary)
            load_discriminator(stage.model, phase.adversary.weights)


def require_perceptual(phases: Iterable[Phase]) -> None:
    """Raise WeightsError for perceptual losses whose weights are not on this machine."""
    files = {"vgg19": VGG19_WEIGHTS, "vgg16": VGG16_WEIGHTS, "dilated_resnet50": ADE20K_WEIGHTS}
    for kind in {phase.perceptual.kind for phase in phases if phase.perceptual}:
        try:
            find_weights(files[kind])
        except WeightsError as error:
            raise WeightsError(
                f"{error}; or train without (--set PHASE.perceptual=null)"
            ) from error
