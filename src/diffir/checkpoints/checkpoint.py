"""Checkpoint: a network and its metadata, and the one function that fills a network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffir.errors import WeightsError
from diffir.files import write_whole
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2
from diffir.text import few, one_line

NETWORKS: dict[int, type[DiffIRS1] | type[DiffIRS2]] = {1: DiffIRS1, 2: DiffIRS2}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The contents of a weights file, whoever wrote it."""

    model: DiffIRS1 | DiffIRS2
    """Float32, on the CPU."""
    task: str
    """A name in `diffir.tasks.TASKS`."""
    preset: str | None = None
    """The preset with this network, None if there is none."""
    training: dict[str, Any] = field(default_factory=dict)
    """Facts for the reader, as JSON values: data, steps, scores, the file it was converted from."""

    @property
    def stage(self) -> int:
        """1 (sees the ground truth) or 2 (for inference)."""
        return 1 if isinstance(self.model, DiffIRS1) else 2

    @property
    def config(self) -> DiffIRConfig:
        """The architecture."""
        return self.model.config


def filled(
    stage: int, config: DiffIRConfig, tensors: Mapping[str, Tensor], path: Path
) -> DiffIRS1 | DiffIRS2:
    """A network, float32 on the CPU, with copies of the tensors as its parameters.

    Raises:
        WeightsError: when names, shapes or dtypes do not fit, or values are not finite; it names
            `path`.
    """
    try:
        with torch.device("meta"):  # shapes are compared before memory is allocated
            network = NETWORKS[stage](config)
        wanted = network.state_dict()
        _require_fit(wanted, tensors, path)
        # Not `to_empty`, for which torch imports sympy: a sixth of the time to start
        network.load_state_dict(_copied(tensors, wanted), assign=True)
    except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:
        raise WeightsError(
            f"{path} describes a network that cannot be built ({one_line(error)}); get another file"
        ) from error
    require_finite(network.state_dict(), path)
    return network


def _copied(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU, contiguous; float32, but integers where `like` has some."""
    return {
        name: tensors[name].to(
            "cpu",
            torch.float32 if one.is_floating_point() else one.dtype,
            copy=True,
            memory_format=torch.contiguous_format,
        )
        for name, one in like.items()
    }


def require_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise WeightsError, naming `path`, if a value is infinite or NaN."""
    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        raise WeightsError(
            f"{path} has values that are not finite in {few(broken)}; "
            "use weights from before the training diverged"
        )


def read_head(path: Path) -> bytes:
    """The first 9 bytes, which distinguish the kinds of weights files; raises WeightsError."""
    try:
        with path.open("rb") as file:
            return file.read(9)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); check the path") from error


def store(data: bytes, path: Path) -> None:
    """Write a file that appears whole or not at all; raises WeightsError."""
    try:
        write_whole(data, path)
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be written ({error.strerror}); check path, permissions and disk space"
        ) from error


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
    words = [f"{few(names)} {fault}" for fault, names in faults.items() if names]
    if words:
        raise WeightsError(f"{path} does not fit its network: {'; '.join(words)}; get another copy")
    dtypes = {
        str(found[name].dtype).removeprefix("torch.")
        for name, tensor in wanted.items()
        if tensor.is_floating_point() and not found[name].is_floating_point()
    }
    if dtypes:
        raise WeightsError(
            f"{path} holds values of type {few(dtypes)}; "
            "floating point is wanted, so get another file"
        )
