"""The pictures and networks for probing a prior; mistakes are reported before the work starts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from diffir.checkpoints import Checkpoint
from diffir.data import Batch, data_sets
from diffir.data.degradations import MakesPairs
from diffir.data.entries import Entry
from diffir.data.sets import entries_of_sets
from diffir.data.sources import one_of
from diffir.errors import DataError, WeightsError
from diffir.loading import load_checkpoint
from diffir.model import DiffIRS1, DiffIRS2
from diffir.presets.finetune import learnt_degradation

from .pairs import pair_of
from .planning import DEGRADATION_OF, degradation_named, require_fit

FEWEST = 3
SHARED = ("ipr_dim", "in_channels", "ipr_norm", "constant_ipr")
"""Settings concerning Z that both stages of a run share."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pairs, made on demand and reproducible; (1, C, H, W) each, on the CPU."""

    entries: Sequence[tuple[int, Entry]]
    """With their index among all pictures, which seeds their degradation."""
    scale: int
    degradation: MakesPairs
    seed: int

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.entries)

    def __iter__(self) -> Iterator[Batch]:
        """The pairs in order. Raises PictureError."""
        return (
            pair_of(entry, index, self.degradation, self.scale, self.seed)
            for index, entry in self.entries
        )


def pictures_for(
    data: str, task: str, scale: int, degradation: MakesPairs, seed: int
) -> tuple[Pictures, list[str]]:
    """The pictures of anything that training takes as data, and a note on those left out.

    Raises:
        DataError: when there are fewer than 3, a bad one, or given LQ in inpainting.
    """
    entries, bad = entries_of_sets(data_sets([data]), scale)
    if bad:
        raise DataError(one_of(bad))
    if task == "inpaint" and any(entry.lq for entry in entries):
        raise DataError(f"{data} has its own LQ; inpainting takes only photos")
    most = 2 * (degradation.margin(scale) + scale)
    fit = [
        (index, entry)
        for index, entry in enumerate(entries)
        if entry.lq or min(entry.height, entry.width) > most
    ]
    if len(fit) < FEWEST:
        raise DataError(
            f"{data} has {len(fit)} pictures larger than {most}×{most}; give at least {FEWEST}, "
            "to measure how Z differs between them"
        )
    small = len(entries) - len(fit)
    notes = [f"{small} of {len(entries)} pictures are left out, too small for an LQ"] * bool(small)
    return Pictures(entries=fit, scale=scale, degradation=degradation, seed=seed), notes


def degradation_for(name: str | None, checkpoint: Checkpoint) -> tuple[str, MakesPairs]:
    """The degradation and its description: the named one, else the network's own, else its task's.

    Raises:
        DataError: when the name is unknown, or does not fit the network.
    """
    learnt = learnt_degradation(checkpoint) if name is None else None
    words = "that of the network's recipe" if learnt else name or DEGRADATION_OF[checkpoint.task]
    chosen = learnt or degradation_named(words)
    require_fit(chosen, checkpoint.task, checkpoint.config.scale)
    return words, chosen


def networks_of(model: str, stage1: str | None) -> tuple[Checkpoint, DiffIRS2, DiffIRS1 | None]:
    """The stage-2 network and its teacher.

    Raises:
        WeightsError: when one can't be loaded or is of the wrong stage, or they do not match.
    """
    checkpoint = load_checkpoint(model)
    if not isinstance(checkpoint.model, DiffIRS2):
        raise WeightsError(
            f"{model} is of stage 1, which sees the ground truth; give the stage-2 network as "
            "MODEL, and this one as --stage1"
        )
    if stage1 is None:
        return checkpoint, checkpoint.model, None
    first = load_checkpoint(stage1)
    if not isinstance(first.model, DiffIRS1):
        raise WeightsError(f"{stage1} is of stage 2; --stage1 takes the teacher of MODEL")
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
            f"{stage1} has {', '.join(differing)}, unlike {model}; --stage1 takes the teacher of "
            "MODEL"
        )
    return checkpoint, checkpoint.model, first.model
