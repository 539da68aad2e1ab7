"""Fine-tuning: the recipe for any network that is trained already, on pictures of one's own.

diffir train finetune --from sr-x4-lite --data photos -o runs/mine
"""

from contextlib import suppress
from typing import Any

from diffir.checkpoints import Checkpoint
from diffir.data import Bicubic, Holes, SecondOrder
from diffir.data.degradations import MakesPairs
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
    """The network of a file with a recipe that goes on with it, gently.

    Raises:
        WeightsError: when the network is of stage 1, which can't be used without ground truth.
    """
    if checkpoint.stage != 2:
        raise WeightsError(
            "weights of stage 1 found, which see the ground truth; give those of stage 2 to --from"
        )
    config, task = checkpoint.config, TASKS[checkpoint.task]
    multiple = config.multiple_of
    side = -(-GT_SIZE // config.scale // multiple) * multiple
    recipe = Recipe(
        degradation=learnt_degradation(checkpoint),
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


def learnt_degradation(checkpoint: Checkpoint) -> Any:
    """How LQ was made when the network was trained, if its file says so; else its task's way."""
    told = checkpoint.training.get("recipe")
    if isinstance(told, dict) and "degradation" in told:
        with suppress(RecipeError):  # of another version: its task's way will do
            return Recipe.of({"degradation": told["degradation"]}).degradation
    return usual_degradation(checkpoint)


def usual_degradation(checkpoint: Checkpoint) -> MakesPairs:
    """What a task's network restores where nothing else is known."""
    if checkpoint.task == "inpaint":
        return Holes(masks=EVERYDAY)
    if checkpoint.task == "deblur":
        return SHAKE
    return Bicubic() if checkpoint.config.scale > 1 else SecondOrder()
