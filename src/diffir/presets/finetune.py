"""Fine-tuning: the recipe that trains any trained network further, on your own pictures.

diffir train finetune --from sr-x4-lite --data photos -o runs/mine
"""

from contextlib import suppress

from diffir.checkpoints import Checkpoint
from diffir.data import Bicubic, Degradation, Holes, SecondOrder
from diffir.data.masks import EVERYDAY
from diffir.data.motion import SHAKE
from diffir.errors import RecipeError, WeightsError
from diffir.recipe import Cosine, Phase, Recipe
from diffir.tasks import TASKS

from .preset import Preset

NAME = "finetune"
GT_SIZE = 128
STEPS = 1000


def finetuning(checkpoint: Checkpoint) -> Preset:
    """The network of a checkpoint, with a recipe that trains it further at a low learning rate.

    Raises:
        WeightsError: when the network is of stage 1, which can't be used without ground truth.
    """
    if checkpoint.stage != 2:
        raise WeightsError(
            "weights of stage 1 found, which need the ground truth; give --from those of stage 2"
        )
    config, task = checkpoint.config, TASKS[checkpoint.task]
    multiple = config.multiple_of
    side = -(-GT_SIZE // config.scale // multiple) * multiple
    recipe = Recipe(
        degradation=learnt_degradation(checkpoint) or usual_degradation(checkpoint),
        finetune=Phase(
            steps=STEPS,
            learning_rate=1e-4,
            warmup_steps=50,
            schedule=Cosine(),
            batch_size=8,
            lq_size=side,
        ),
        gradient_clip=0.25,
        precision="bfloat16",
    )
    return Preset(
        name=checkpoint.preset or task.name,
        summary="fine-tuned",
        task=task,
        config=config,
        recipe=recipe,
    )


def learnt_degradation(checkpoint: Checkpoint) -> Degradation | None:
    """The degradation that the network was trained with; None if its file does not say."""
    noted = checkpoint.training.get("recipe")
    if isinstance(noted, dict) and "degradation" in noted:
        with suppress(RecipeError):  # written by another version
            return Recipe.of({"degradation": noted["degradation"]}).degradation
    return None


def usual_degradation(checkpoint: Checkpoint) -> Degradation:
    """The degradation that a network of a task restores by default."""
    if checkpoint.task == "inpaint":
        return Holes(masks=EVERYDAY)
    if checkpoint.task == "deblur":
        return SHAKE
    return Bicubic() if checkpoint.config.scale > 1 else SecondOrder()
