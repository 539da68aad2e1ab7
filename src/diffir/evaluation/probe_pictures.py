"""The pictures that a prior is probed with, and the networks; mistakes are told before the work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from diffir.checkpoints import Checkpoint
from diffir.data import DEGRADATIONS, Batch, Draws, data_sets, unfit
from diffir.data.degradations import MakesPairs
from diffir.data.entries import Entry
from diffir.data.pixels import to_tensor
from diffir.data.sets import entries_of_sets
from diffir.data.sources import one_of
from diffir.errors import DataError, RecipeError, WeightsError
from diffir.loading import load_checkpoint
from diffir.model import DiffIRS1, DiffIRS2
from diffir.recipe import Recipe

from .planning import DEGRADATION_OF

FEWEST = 3
SHARED = ("ipr_dim", "in_channels", "ipr_norm", "constant_ipr")
"""What the two stages of a run have in common, where Z is concerned."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pairs, made when they are asked for and always the same; (1, C, H, W) each, on the CPU."""

    entries: Sequence[tuple[int, Entry]]
    """With their place among all, by which they are degraded."""
    scale: int
    degradation: MakesPairs | None
    seed: int

    def __len__(self) -> int:
        """How many."""
        return len(self.entries)

    def __iter__(self) -> Iterator[Batch]:
        """One after another. Raises PictureError."""
        return (self.pair(index, entry) for index, entry in self.entries)

    def pair(self, index: int, entry: Entry) -> Batch:
        """A picture with its own LQ, or with one made of it, as validation makes it by seed 0."""
        gt = to_tensor(entry.gt.pixels())
        height, width = (side - side % self.scale for side in gt.shape[-2:])
        gt = gt[..., :height, :width]
        if entry.lq is not None:
            return Batch(lq=to_tensor(entry.lq.pixels()), gt=gt)
        assert self.degradation is not None
        return self.degradation.batch(gt, self.scale, Draws((self.seed,), (index,), alone=True))


def pictures_for(
    data: str, task: str, scale: int, degradation: MakesPairs, seed: int
) -> tuple[Pictures, list[str]]:
    """The pictures of what training takes as data, and sentences on what is left out.

    Raises:
        DataError: when there are fewer than 3, a bad one, or holes that nobody tells.
    """
    entries, bad = entries_of_sets(data_sets([data]), scale)
    if bad:
        raise DataError(one_of(bad))
    if task == "inpaint" and any(entry.lq for entry in entries):
        raise DataError(f"{data} has an LQ of its own; of inpainting give whole photos alone")
    most = 2 * (degradation.margin(scale) + scale)
    fit = [
        (index, entry)
        for index, entry in enumerate(entries)
        if entry.lq or min(entry.height, entry.width) > most
    ]
    if len(fit) < FEWEST:
        raise DataError(
            f"{data} has {len(fit)} pictures larger than {most}×{most}; at least {FEWEST} are "
            "wanted to tell how Z differs between them"
        )
    small = len(entries) - len(fit)
    notes = [f"{small} of {len(entries)} pictures are left out, too small for an LQ"] * bool(small)
    return Pictures(entries=fit, scale=scale, degradation=degradation, seed=seed), notes


def degradation_for(name: str | None, checkpoint: Checkpoint) -> tuple[str, MakesPairs]:
    """How LQ is made: as asked, else as the network learnt it, else as its task has it; with words.

    Raises:
        DataError: when there is none of the name, or the network is of no use for it.
    """
    if name is not None and name not in DEGRADATIONS:
        raise DataError(f"degradation {name!r} found; there are {', '.join(DEGRADATIONS)}")
    chosen: Any = None
    if name is None:
        chosen = learnt_degradation(checkpoint)
    told = "that of the network's recipe" if chosen else name or DEGRADATION_OF[checkpoint.task]
    chosen = chosen or DEGRADATIONS[told]
    problem = unfit(chosen, checkpoint.task, checkpoint.config.scale)
    if problem is not None:
        raise DataError(f"{problem}; choose another with --degradation")
    return told, chosen


def learnt_degradation(checkpoint: Checkpoint) -> MakesPairs | None:
    """What the recipe in a weights file says, where there is one."""
    recipe = checkpoint.training.get("recipe")
    try:
        return Recipe.of(recipe).degradation if isinstance(recipe, dict) else None
    except RecipeError:  # of another version
        return None


def networks_of(model: str, stage1: str | None) -> tuple[Checkpoint, DiffIRS2, DiffIRS1 | None]:
    """The network for use and its teacher.

    Raises:
        WeightsError: when one can't be loaded, is of the other stage, or they are of two kinds.
    """
    checkpoint = load_checkpoint(model)
    if not isinstance(checkpoint.model, DiffIRS2):
        raise WeightsError(
            f"{model} is of stage 1, which sees the ground truth; give the network for use as "
            "MODEL, and this one by --stage1"
        )
    if stage1 is None:
        return checkpoint, checkpoint.model, None
    first = load_checkpoint(stage1)
    if not isinstance(first.model, DiffIRS1):
        raise WeightsError(f"{stage1} is of stage 2; --stage1 wants the network that taught MODEL")
    kinds = [
        {"task": which.task, "scale": which.config.scale}
        | {name: getattr(which.config, name) for name in SHARED}
        for which in (first, checkpoint)
    ]
    differing = [
        f"{name} {kinds[0][name]}" for name in kinds[0] if kinds[0][name] != kinds[1][name]
    ]
    if differing:
        raise WeightsError(
            f"{stage1} has {', '.join(differing)}, unlike {model}; --stage1 wants the network that "
            "taught MODEL"
        )
    return checkpoint, checkpoint.model, first.model
