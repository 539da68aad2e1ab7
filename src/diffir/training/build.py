"""From a recipe and pictures to a trained network: the phases in a row."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from diffir.checkpoints import Checkpoint, format
from diffir.data import Bicubic, Feed, OnBad
from diffir.data.stream import summary_of
from diffir.errors import RecipeError
from diffir.inference.devices import place
from diffir.model import DiffIRS1, DiffIRS2
from diffir.model.dirformer import Level
from diffir.presets import Preset
from diffir.recipe import PHASES, Adversary, Recipe

from .adversary import DiscriminatorStage, load_discriminator, save_discriminator
from .beginning import Beginning, recipe_of
from .criteria import RestorationLoss
from .feed import feed_of
from .guards import lack_of_memory_told
from .initial import he_initialised
from .loop import run_phase
from .order import Order
from .run import Run
from .sharding import whole_network
from .stages import JointPhase, PriorPhase, SingleStep, Stage, Stage1
from .state import States

Network = TypeVar("Network", DiffIRS1, DiffIRS2)

logger = logging.getLogger(__name__)


def train(
    order: Order,
    run: Run,
    *,
    workers: int = 0,
    on_bad: OnBad = "skip",
    recompute: bool = False,
) -> Path:
    """Train a network as ordered and write the weights of each phase.

    Run again after an interruption, it goes on where it was; after its end, it only writes.

    Args:
        order: the network, its recipe, data and folder.
        run: devices, and how often it speaks.
        workers: processes that make batches beside each one that trains.
        on_bad: whether pictures that can't be learnt from are skipped and counted, or end the run.
        recompute: whether blocks are computed again on the way back: slower, in less memory.

    Returns:
        The file of the last phase, `<name>.safetensors` in the folder; others lie beside it.

    Raises:
        RecipeError: when the recipe contradicts itself, or the folder holds a run of another one.
        WeightsError: when weights to begin with do not fit.
        DataError, PictureError: when the data can't be learnt from.
        DeviceError: when memory does not suffice.
    """
    preset, fabric = order.preset, run.fabric
    require_prior(preset, run.accumulate * fabric.world_size)
    beginning = order.beginning()
    feed = feed_of(
        preset,
        order.data,
        device=fabric.device,
        workers=workers,
        on_bad=on_bad,
        processes=fabric.world_size,
        accumulate=run.accumulate,
    )
    order.claim()
    fabric.launch()  # from here on in every process
    feed = replace(feed, rank=fabric.global_rank, world=fabric.world_size)
    facts = {
        "recipe": recipe_of(preset).model_dump(mode="json"),
        "data": [Path(name).name for name in order.data],
        "torch": torch.__version__,
        **feed.source.describe(),
    }
    training = Training(order=order, feed=feed, run=run, facts=facts, recompute=recompute)
    with lack_of_memory_told(fabric.device):
        weights = training.of_phases(beginning)
    if run.skipped:
        logger.warning("%s", summary_of(run.skipped))
    return weights


@dataclass(frozen=True, kw_only=True)
class Training:
    """What all phases of a run have in common."""

    order: Order
    feed: Feed
    run: Run
    facts: dict[str, Any]
    """That travel with the weights."""
    recompute: bool = False

    @property
    def preset(self) -> Preset:
        """The network."""
        return self.order.preset

    @property
    def recipe(self) -> Recipe:
        """That of the preset."""
        return recipe_of(self.preset)

    def of_phases(self, beginning: Beginning) -> Path:
        """Train phase by phase, each from what the last one left; the file of the last."""
        phases = [*self.recipe.phases()]
        teacher, path = beginning.teacher, Path()
        model: nn.Module | None = beginning.start
        adversary: DiscriminatorStage | None = None
        for name in phases:
            adversary = self.adversary_of(name, adversary)
            stage = self.stage_of(name, model, teacher, adversary)
            run = replace(self.run, keep_best=self.keep_best)
            was_done = self.is_done(name)
            average = run_phase(name, stage, self.recipe, self.feed, run, adversary)
            if isinstance(average, DiffIRS1) and self.preset.config.constant_ipr:
                model = for_use(average)
            elif isinstance(average, DiffIRS1):
                teacher, model = average, None
            else:
                model = average
            if adversary is not None:
                adversary.model = whole_network(adversary.model)
            path = self.file_of(name, is_last=name == phases[-1])
            # What is there tells of the data that it was learnt from, whatever is given now.
            if self.run.fabric.is_global_zero and not (was_done and path.exists()):
                self.save(average, path)
                if adversary is not None:
                    save_discriminator(adversary.model, self.file_of(f"{name}-discriminator"))
        self.run.fabric.barrier()
        return path

    def is_done(self, name: str) -> bool:
        """Whether an earlier call came to a phase's end."""
        steps = States(self.run.folder, name).steps()
        return steps[-1:] == [self.recipe.phases()[name].steps]

    def stage_of(
        self,
        name: str,
        model: nn.Module | None,
        teacher: DiffIRS1 | None,
        adversary: DiscriminatorStage | None,
    ) -> Stage:
        """A phase's stage around the network that it begins with."""
        recipe, phase, config = self.recipe, self.recipe.phases()[name], self.preset.config
        judged = adversary.judge if adversary else None
        restoration = RestorationLoss(recipe.pixel_loss, phase.perceptual, judged)
        if name == "stage1":
            torch.manual_seed(recipe.seed)
            first = model if isinstance(model, DiffIRS1) else self.begun(DiffIRS1(config))
            return Stage1(self.placed(first), restoration, recipe)
        second = model if isinstance(model, DiffIRS2) else self.student(teacher)
        if name == "prior":
            assert teacher is not None
            kinds = {"all_steps": PriorPhase, "single_step": SingleStep}
            kind = kinds[recipe.diffusion_training]
            return kind(self.placed(second), teacher, recipe.ipr_loss)
        return JointPhase(self.placed(second), teacher, recipe.ipr_loss, restoration)

    def student(self, teacher: DiffIRS1 | None) -> DiffIRS2:
        """A new network of stage 2 with the restorer of its teacher."""
        assert teacher is not None
        torch.manual_seed(self.recipe.seed + 1)
        model = self.begun(DiffIRS2(self.preset.config))
        model.dirformer.load_state_dict(teacher.dirformer.state_dict())
        return model

    def begun(self, model: Network) -> Network:
        """A new network with the first weights that the recipe wants."""
        if self.recipe.ipr_init == "he":
            he_initialised(model)
        return model

    def adversary_of(
        self, name: str, before: DiscriminatorStage | None
    ) -> DiscriminatorStage | None:
        """A phase's discriminator: a new one, or the last phase's where it is of the same kind."""
        settings = self.recipe.phases()[name].adversary
        if settings is None:
            return None
        torch.manual_seed(self.recipe.seed + 10 + PHASES.index(name))
        adversary = DiscriminatorStage(settings)
        if settings.weights is not None:
            load_discriminator(adversary.model, settings.weights)
        elif before is not None and alike(before.settings, settings):
            adversary.model.load_state_dict(before.model.state_dict())
        return adversary

    def placed(self, model: Any) -> Any:
        """A network on the device, its blocks computed again on the way back if asked."""
        for module in model.modules():
            if isinstance(module, Level):
                module.recompute = self.recompute
        return place(model.train(), self.run.fabric.device)

    def file_of(self, what: str, *, is_last: bool = False) -> Path:
        """The weights file of a phase; the last one's bears the preset's name alone."""
        name = self.preset.name if is_last else f"{self.preset.name}-{what}"
        return self.order.folder / f"{name}.safetensors"

    def keep_best(self, name: str, network: nn.Module, score: float) -> None:
        """Write the network of a phase that has scored best so far."""
        self.save(network, self.file_of(f"{name}-best"), psnr=score)

    def save(self, network: nn.Module, path: Path, **facts: Any) -> None:
        """Write half-precision weights with everything that rebuilds the network."""
        assert isinstance(network, DiffIRS1 | DiffIRS2)
        if network.config.constant_ipr:
            network = for_use(network)
        checkpoint = Checkpoint(
            model=network,
            task=self.preset.task.name,
            preset=self.preset.name,
            training=self.facts | facts,
        )
        format.save(checkpoint, path, dtype=torch.float16)


def require_prior(preset: Preset, shares: int) -> None:
    """Refuse phases that guess a constant, and batches in `shares` too small to speak of spread.

    Raises:
        RecipeError: when that is so.
    """
    recipe = recipe_of(preset)
    phases = recipe.phases()
    guessing = [name for name in ("prior", "joint") if name in phases]
    if preset.config.constant_ipr and guessing:
        raise RecipeError(
            f"constant_ipr found with the phase {guessing[0]}, which has nothing to guess; "
            f"leave it out ({guessing[0]}=null), for stage 1 alone trains this network"
        )
    require_facts(recipe)
    if "stage1" not in phases or not (preset.config.ipr_norm == "batch" or recipe.variety()):
        return
    smallest = min(batch for _, batch in phases["stage1"].all_sizes())
    if smallest < 2 * shares:
        raise RecipeError(
            f"a batch of {smallest} in {shares} parts found in stage 1, where the spread of Z over "
            f"the pictures of a part counts; give at least 2 to each"
        )


def require_facts(recipe: Recipe) -> None:
    """Refuse a loss of facts where there are none, and Z to learn from a loss that isn't there."""
    if recipe.facts_weight and isinstance(recipe.degradation, Bicubic):
        raise RecipeError(
            "facts_weight with degradation bicubic found, for which nothing is drawn; "
            "set it to 0 and facts_alone to false, or take another degradation"
        )
    if recipe.facts_alone and not recipe.facts_weight:
        raise RecipeError(
            "facts_alone without facts_weight found; give it a weight, say 0.1, or set it to false"
        )


def for_use(network: DiffIRS1 | DiffIRS2) -> DiffIRS2:
    """A network whose IPR is constant, as it is used: it never sees the ground truth."""
    model = DiffIRS2(network.config)
    model.load_state_dict(network.state_dict())
    return model


def alike(first: Adversary, second: Adversary) -> bool:
    """Whether one's discriminator fits the other's."""
    return (first.discriminator, first.width) == (second.discriminator, second.width)
