"""What a run begins with: a recipe that fits its network, and earlier weights that fit both.

All is asked before the first step: a mistake is better known now than in hours.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from diffir.checkpoints import Checkpoint
from diffir.errors import RecipeError, WeightsError
from diffir.losses import find_weights
from diffir.losses.resnet import ADE20K_WEIGHTS
from diffir.losses.vgg import VGG19_WEIGHTS
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2
from diffir.presets import Preset
from diffir.recipe import MaskedL1, Phase, Recipe

from .adversary import DiscriminatorStage, load_discriminator

FREE = (
    *("timesteps", "beta_start", "beta_end", "beta_schedule", "prediction", "insert_variance"),
    *("denoiser_layers", "denoiser_residual"),
)
"""What a teacher has no use for, so that one serves all kinds of diffusion."""


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Networks of earlier runs, with names for messages; each may be missing."""

    teacher: DiffIRS1 | None = None
    """A stage 1 to learn from, in place of the recipe's."""
    start: DiffIRS1 | DiffIRS2 | None = None
    """What the first phase begins with: of stage 1 if the recipe has that, else of stage 2."""


def recipe_of(preset: Preset) -> Recipe:
    """The recipe of a preset. Raises RecipeError where it has none."""
    if preset.recipe is None:
        raise RecipeError(f"{preset.name} has no recipe; train one that has")
    if not preset.recipe.phases():
        raise RecipeError(f"the recipe of {preset.name} has no phase; give it one, say joint")
    return preset.recipe


def beginning_of(
    preset: Preset, teacher: Checkpoint | None = None, start: Checkpoint | None = None
) -> Beginning:
    """The networks of weights files, refused where the preset's recipe can't begin with them.

    Raises:
        RecipeError: when the recipe lacks a network, or has no use for one.
        WeightsError: when one is of another stage, task or size, or a loss lacks its weights.
    """
    recipe = recipe_of(preset)
    phases = recipe.phases()
    require_losses(preset, recipe)
    wanted = 4 if preset.task.wants_mask else 3
    if preset.config.in_channels != wanted:
        raise RecipeError(
            f"in_channels {preset.config.in_channels} found in {preset.name}; task "
            f"{preset.task.name} wants {wanted}"
        )
    if recipe.diffusion_training == "single_step" and not preset.config.timesteps:
        raise RecipeError(
            f"diffusion_training single_step with timesteps 0 found in {preset.name}, which has no "
            f"step to train; give it some, or take all_steps"
        )
    if recipe.diffusion_training == "single_step" and {"joint", "finetune"} & phases.keys():
        raise RecipeError(
            f"diffusion_training single_step found with a joint phase or fine-tuning in "
            f"{preset.name}; it trains the prior alone, so leave them out (joint=null)"
        )
    if "stage1" in phases and teacher:
        raise RecipeError(
            f"a teacher came with {preset.name}, which trains its own stage 1; "
            f"leave it out, or stage 1 (--set stage1=null)"
        )
    if "stage1" not in phases and teacher is None and {"prior", "joint"} & phases.keys():
        raise RecipeError(
            f"{preset.name} trains stage 2 and has no stage-1 teacher; "
            f"give the weights of one (--teacher), or a recipe with stage1"
        )
    if [*phases] == ["finetune"] and start is None:
        raise RecipeError(
            f"{preset.name} only fine-tunes and has no network to begin with; "
            f"give the weights of one (--from)"
        )
    if teacher:
        require_fit(teacher, preset, stage=1, role="the teacher")
    if start:
        require_fit(start, preset, stage=1 if "stage1" in phases else 2, role="the start")
    return Beginning(
        teacher=teacher.model if teacher and isinstance(teacher.model, DiffIRS1) else None,
        start=start.model if start else None,
    )


def require_fit(checkpoint: Checkpoint, preset: Preset, *, stage: int, role: str) -> None:
    """Refuse a network of another stage, task or size; raises WeightsError."""
    if checkpoint.stage != stage:
        sees = {1: "stage 1 (sees the ground truth)", 2: "stage 2 (for use)"}
        raise WeightsError(
            f"{role} is of {sees[checkpoint.stage]}; {preset.name} wants one of {sees[stage]}"
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
    """In words, the numbers in which two networks differ."""
    numbers = asdict(wanted)
    return [
        f"{name} {value} found, {numbers[name]} wanted"
        for name, value in asdict(found).items()
        if value != numbers[name]
    ]


def require_losses(preset: Preset, recipe: Recipe) -> None:
    """Refuse losses of masks without a mask, and those whose networks are not on this machine."""
    phases = recipe.phases().values()
    wants_mask = isinstance(recipe.pixel_loss, MaskedL1) or any(
        phase.adversary and phase.adversary.mask_as_target for phase in phases
    )
    if wants_mask and not preset.task.wants_mask:
        raise RecipeError(
            f"a loss with masks found for task {preset.task.name}, which has none; "
            f"take pixel_l1, and an adversary without mask_as_target"
        )
    require_perceptual(phases)
    for phase in phases:
        if phase.adversary and phase.adversary.weights:
            stage = DiscriminatorStage(phase.adversary)
            load_discriminator(stage.model, phase.adversary.weights)


def require_perceptual(phases: Iterable[Phase]) -> None:
    """Refuse perceptual losses whose networks are not on this machine; raises WeightsError."""
    files = {"vgg19": VGG19_WEIGHTS, "dilated_resnet50": ADE20K_WEIGHTS}
    for kind in {phase.perceptual.kind for phase in phases if phase.perceptual}:
        try:
            find_weights(files[kind])
        except WeightsError as error:
            raise WeightsError(
                f"{error}; or train without (--set PHASE.perceptual=null)"
            ) from error
