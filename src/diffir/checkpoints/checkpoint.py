"""Checkpoint: a network with the facts that travel with it, and the one way to fill a network."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffir.errors import WeightsError
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2

NETWORKS: dict[int, type[DiffIRS1] | type[DiffIRS2]] = {1: DiffIRS1, 2: DiffIRS2}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a weights file holds, whoever wrote it."""

    model: DiffIRS1 | DiffIRS2
    """Float32, on the CPU."""
    task: str
    """A name in `diffir.tasks.TASKS`."""
    preset: str | None = None
    """The preset whose network this is, None for a network without a name."""
    training: dict[str, Any] = field(default_factory=dict)
    """Facts for people, as JSON holds them: data, steps, scores, where it was converted from."""

    @property
    def stage(self) -> int:
        """1 (sees the ground truth) or 2 (for use)."""
        return 1 if isinstance(self.model, DiffIRS1) else 2

    @property
    def config(self) -> DiffIRConfig:
        """The network's numbers."""
        return self.model.config


def filled(
    stage: int, config: DiffIRConfig, tensors: Mapping[str, Tensor], path: Path
) -> DiffIRS1 | DiffIRS2:
    """A network, float32 on the CPU, with copies of the tensors as its parameters.

    Raises:
        WeightsError: when names or shapes are not exactly the network's, or values are not finite;
            `path` is what it blames.
    """
    try:
        with torch.device("meta"):  # shapes are compared before memory is taken
            network = NETWORKS[stage](config)
        _require_fit(network.state_dict(), tensors, path)
        network = network.to_empty(device="cpu").float()
        network.load_state_dict(tensors)
    except (RuntimeError, ValueError, ArithmeticError) as error:
        raise WeightsError(
            f"{path} describes a network that cannot be built ({_line(error)}); get another file"
        ) from error
    require_finite(network.state_dict(), path)
    return network


def require_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise WeightsError, blaming `path`, where a value is infinite or NaN."""
    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        raise WeightsError(
            f"values that are not finite found for {path} in {some(broken)}; "
            "finite ones are wanted, so use weights from before the training diverged"
        )


def read_head(path: Path) -> bytes:
    """The first 9 bytes, which tell the kinds of weights files apart; raises WeightsError."""
    try:
        with path.open("rb") as file:
            return file.read(9)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); check the path") from error


def some(names: Collection[str]) -> str:
    """Up to three of the names, and how many more there are."""
    rest = len(names) - 3
    return ", ".join(sorted(names)[:3]) + (f" and {rest} more" if rest > 0 else "")


def _require_fit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path) -> None:
    shapes = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in found and found[name].shape != tensor.shape
    ]
    faults = {
        "missing": wanted.keys() - found.keys(),
        "unknown": found.keys() - wanted.keys(),
        "of another shape": shapes,
    }
    told = [f"{some(names)} {fault}" for fault, names in faults.items() if names]
    if told:
        raise WeightsError(f"{path} does not fit its network: {'; '.join(told)}; get the file anew")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
