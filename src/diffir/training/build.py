"""From a recipe and pictures to a trained network: all phases, one after the other."""

import logging
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from diffir.checkpoints import Checkpoint, format
from diffir.data import Bicubic, Feed, OnBad
from diffir.data.stream import summary_of
from diffir.errors import RecipeError
from diffir.inference.devices import to_device
from diffir.model import DiffIRS1, DiffIRS2
from diffir.model.dirformer import Level
from diffir.presets import Preset
from diffir.recipe import PHASES, Adversary, Recipe

from .adversary import DiscriminatorStage, load_discriminator, save_discriminator
from .beginning import Beginning, recipe_of
from .criteria import RestorationLoss
from .feed import feed_of
from .guards import failures_explained
from .initial import he_initialised
from .loop import run_phase
from .order import Order, locked
from .run import Run
from .sharding import whole_network
from .stages import JointPhase, PriorPhase, SingleStep, Stage, Stage1
from .state import States
from .whole_batch import of_all_processes

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
    """Train a network and write the weights of each phase.

    Called again after an interruption, it resumes; after its end, it only writes the weights.

    Args:
        order: the network, its recipe, data and folder.
        run: devices, and how often to report, validate and save.
        workers: data workers of each training process.
        on_bad: whether unusable pictures are skipped and counted, or end the run.
        recompute: gradient checkpointing: less memory, slower.

    Returns:
        The file of the last phase, `<name>.safetensors` in the folder; the others are beside it.

    Raises:
        RecipeError: when the recipe contradicts itself, the folder holds a run of another one, or
            another process trains in it.
        WeightsError: when weights to start from do not fit.
        DataError, PictureError: when the data is unusable.
        DeviceError: when memory does not suffice, or another process of the run has ended.
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
    with locked(order.folder) if fabric.is_global_zero else nullcontext():
        order.claim()
        fabric.launch()  # starts the other processes
        feed = replace(feed, rank=fabric.global_rank, world=fabric.world_size)
        facts = {
            "recipe": recipe_of(preset).model_dump(mode="json"),
            "data": [Path(name).name for name in order.data],
            "torch": torch.__version__,
            **feed.source.describe(),
        }
        training = Training(order=order, feed=feed, run=run, facts=facts, recompute=recompute)
        with failures_explained(fabric):
            weights = training.of_phases(beginning)
            skipped = of_all_processes(run.skipped)
    if skipped:
        logger.warning("%s", summary_of(skipped))
    return weights


@dataclass(frozen=True, kw_only=True)
class Training:
    """What all phases of a run share."""

    order: Order
    feed: Feed
    run: Run
    facts: dict[str, Any]
    """Stored with the weights."""
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
        """Train the phases in order, each from the result of the last; the last one's file."""
        phases = [*self.recipe.phases()]
        teacher, path = beginning.teacher, Path()
        model: nn.Module | None = beginning.start
        adversary: DiscriminatorStage | None = None
        for name in phases:
            adversary = self.adversary_of(name, adversary)
            stage = self.stage_of(name, model, teacher, adversary)
            run = replace(self.run, keep_best=self.keep_best, validated_on=self.order.validated_on)
            was_done = self.is_done(name)
            average = run_phase(name, stage, self.recipe, self.feed, run, adversary)
            if isinstance(average, DiffIRS1) and self.preset.config.constant_ipr:
                model = as_stage_2(average)
            elif isinstance(average, DiffIRS1):
                teacher, model = average, None
            else:
                model = average
            if adversary is not None:
                adversary.model = whole_network(adversary.model)
            path = self.file_of(name, is_last=name == phases[-1])
            # An existing file names the data it was trained on, which may differ from today's.
            if self.run.fabric.is_global_zero and not (was_done and path.exists()):
                self.save(average, path)
                if adversary is not None:
                    save_discriminator(adversary.model, self.file_of(f"{name}-discriminator"))
        self.run.fabric.barrier()
        return path

    def is_done(self, name: str) -> bool:
        """Whether an earlier call finished a phase."""
        steps = States(self.run.folder, name).steps()
        return steps[-1:] == [self.recipe.phases()[name].steps]

    def stage_of(
        self,
        name: str,
        model: nn.Module | None,
        teacher: DiffIRS1 | None,
        adversary: DiscriminatorStage | None,
    ) -> Stage:
        """A phase's stage, around the network that it starts from."""
        recipe, phase, config = self.recipe, self.recipe.phases()[name], self.preset.config
        judged = adversary.judge if adversary else None
        restoration = RestorationLoss(recipe.pixel_loss, phase.perceptual, judged)
        if name == "stage1":
            torch.manual_seed(recipe.seed)
            first = model if isinstance(model, DiffIRS1) else self.initialised(DiffIRS1(config))
            return Stage1(self.placed(first), restoration, recipe)
        second = model if isinstance(model, DiffIRS2) else self.student(teacher)
        if name == "prior":
            assert teacher is not None
            kinds = {"all_steps": PriorPhase, "single_step": SingleStep}
            kind = kinds[recipe.diffusion_training]
            return kind(self.placed(second), teacher, recipe.ipr_loss)
        return JointPhase(self.placed(second), teacher, recipe.ipr_loss, restoration)

    def student(self, teacher: DiffIRS1 | None) -> DiffIRS2:
        """A new network of stage 2 with its teacher's DIRformer."""
        assert teacher is not None
        torch.manual_seed(self.recipe.seed + 1)
        model = self.initialised(DiffIRS2(self.preset.config))
        model.dirformer.load_state_dict(teacher.dirformer.state_dict())
        return model

    def initialised(self, model: Network) -> Network:
        """A new network with its initial weights, as the recipe says."""
        if self.recipe.ipr_init == "he":
            he_initialised(model)
        return model

    def adversary_of(
        self, name: str, before: DiscriminatorStage | None
    ) -> DiscriminatorStage | None:
        """A phase's discriminator, with the weights of the last phase's if of the same kind."""
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
        """A network on the device, in training mode, with gradient checkpointing if asked."""
        for module in model.modules():
            if isinstance(module, Level):
                module.recompute = self.recompute
        return to_device(model.train(), self.run.fabric.device)

    def file_of(self, what: str, *, is_last: bool = False) -> Path:
        """The weights file of a phase; the last one's has just the preset's name."""
        name = self.preset.name if is_last else f"{self.preset.name}-{what}"
        return self.order.folder / f"{name}.safetensors"

    def keep_best(self, name: str, network: nn.Module, score: float) -> None:
        """Write a phase's best network so far."""
        self.save(network, self.file_of(f"{name}-best"), psnr=score)

    def save(self, network: nn.Module, path: Path, **facts: Any) -> None:
        """Write half-precision weights with everything needed to rebuild the network."""
        assert isinstance(network, DiffIRS1 | DiffIRS2)
        if network.config.constant_ipr:
            network = as_stage_2(network)
        checkpoint = Checkpoint(
            model=network,
            task=self.preset.task.name,
            preset=self.preset.name,
            training=self.facts | facts,
        )
        format.save(checkpoint, path, dtype=torch.float16)


def require_prior(preset: Preset, shares: int) -> None:
    """Refuse to predict a constant, and to take statistics of Z over a single picture.

    Args:
        preset: the network and its recipe.
        shares: number of parts into which a batch is split, over all processes.

    Raises:
        RecipeError: when the recipe would do so.
    """
    recipe = recipe_of(preset)
    phases = recipe.phases()
    predicting = [name for name in ("prior", "joint") if name in phases]
    if preset.config.constant_ipr and predicting:
        raise RecipeError(
            f"constant_ipr found with the phase {predicting[0]}, which has nothing to predict; "
            f"leave it out ({predicting[0]}=null), as only stage 1 trains this network"
        )
    require_facts(recipe)
    if "stage1" not in phases or not (preset.config.ipr_norm == "batch" or recipe.variety()):
        return
    smallest = min(batch for _, batch in phases["stage1"].all_sizes())
    if smallest < 2 * shares:
        raise RecipeError(
            f"a batch of {smallest} in {shares} parts found in stage 1, where the spread of Z over "
            f"the pictures of a part counts; give each part at least 2"
        )


def require_facts(recipe: Recipe) -> None:
    """Refuse a facts loss without facts, and `facts_alone` without that loss."""
    if recipe.facts_weight and isinstance(recipe.degradation, Bicubic):
        raise RecipeError(
            "facts_weight with degradation bicubic found, which draws nothing at random; "
            "set it to 0 and facts_alone to false, or choose another degradation"
        )
    if recipe.facts_alone and not recipe.facts_weight:
        raise RecipeError(
            "facts_alone without facts_weight found; set a weight, for example 0.1, or facts_alone "
            "to false"
        )


def as_stage_2(network: DiffIRS1 | DiffIRS2) -> DiffIRS2:
    """A network whose IPR is constant as one of stage 2, as it never sees the ground truth."""
    model = DiffIRS2(network.config)
    model.load_state_dict(network.state_dict())
    return model


def alike(first: Adversary, second: Adversary) -> bool:
    """Whether two discriminators have the same architecture."""
    return (first.discriminator, first.width) == (second.discriminator, second.width)
