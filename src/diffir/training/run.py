"""Run: where and on what a training runs, how often it reports and saves, and how it is stopped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from lightning_fabric import Fabric
from torch import Tensor, nn

from diffir.model import DiffIRS1

Validate = Callable[[nn.Module, DiffIRS1 | None], tuple[dict[str, float], dict[str, Tensor]]]
"""From a network, and the teacher if there is one, to scores by name ("psnr" and others) and
pictures (3, H, W)."""
KeepBest = Callable[[str, nn.Module, float], None]
"""Called with the phase, the averaged network and its PSNR when it is the best so far."""


def nothing(_phase: str, _network: nn.Module, _score: float) -> None:
    """Keep no best network."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where and on what a training runs, and how often it reports; the result does not depend on
    it."""

    folder: Path
    fabric: Fabric
    log_every: int = 50
    save_every: int = 250
    validate: Validate | None = None
    validate_every: int = 1000
    validated_on: Sequence[str] = ()
    """The validation data, by name: the best score so far counts only on the same data."""
    keep_best: KeepBest = nothing
    accumulate: int = 1
    """Parts into which a process splits its share of a batch (gradient accumulation)."""
    compiled: bool = False
    stop: Event = field(default_factory=Event)
    """Once set, the run saves its state after the current step and raises StoppedError."""
    skipped: dict[str, str] = field(default_factory=dict)
    """The reason for each picture that this process skipped, by its name."""
