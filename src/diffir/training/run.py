"""Run: where a training lives, on what, how often it speaks, and how it is stopped."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from lightning_fabric import Fabric
from torch import Tensor, nn

from diffir.model import DiffIRS1

Validate = Callable[[nn.Module, DiffIRS1 | None], tuple[dict[str, float], dict[str, Tensor]]]
"""Scores by name ("psnr" and others), and pictures (3, H, W), of a network; it gets the teacher."""
KeepBest = Callable[[str, nn.Module, float], None]
"""What is done with the averaged network of a phase that scores better than all before."""


def nothing(_phase: str, _network: nn.Module, _score: float) -> None:
    """Keep no best network."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where a run lives, on what, and how often it speaks; none of it changes what is learnt."""

    folder: Path
    fabric: Fabric
    log_every: int = 50
    save_every: int = 250
    validate: Validate | None = None
    validate_every: int = 1000
    keep_best: KeepBest = nothing
    accumulate: int = 1
    """Parts in which a process learns from its share of a batch, one after the other."""
    compiled: bool = False
    stop: Event = field(default_factory=Event)
    """Once set, the run saves its state after the step under way and raises StoppedError."""
    skipped: dict[str, str] = field(default_factory=dict)
    """A sentence for each picture that could not be learnt from, by its name."""
