"""Our weights files: safetensors, with everything that rebuilds the network in the metadata.

Metadata, strings as safetensors requires: format ("diffir"), format_version, stage, task, preset
(if there is one), config (JSON of DiffIRConfig), training (JSON), diffir (its version).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, Json, ValidationError, model_validator
from safetensors import SafetensorError, safe_open

from diffir._version import __version__
from diffir.errors import WeightsError
from diffir.model import DiffIRConfig
from diffir.tasks import TASKS
from diffir.text import one_line

from .checkpoint import Checkpoint, filled, require_finite, store

FORMAT_VERSION = 1


class Info(BaseModel):
    """The metadata of a weights file of ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")  # forbids extra keys in config, too

    stage: int = Field(ge=1, le=2)
    task: str
    preset: str | None = None
    config: Json[DiffIRConfig]
    training: Json[dict[str, Any]]
    diffir: str
    """The version that wrote the file."""
    parameters: int
    dtype: str
    """Of the values in the file, in safetensors' spelling: F32, F16; networks load as float32."""

    @property
    def scale(self) -> int:
        """How much larger the restored picture is."""
        return self.config.scale

    @model_validator(mode="after")
    def _task_fits(self) -> "Info":
        if self.task not in TASKS:
            raise ValueError(f"task {self.task} found, one of {', '.join(TASKS)} wanted")
        channels = 4 if TASKS[self.task].wants_mask else 3
        if self.config.in_channels != channels:
            raise ValueError(
                f"{self.config.in_channels} input channels found, task {self.task} has {channels}"
            )
        return self


def save(checkpoint: Checkpoint, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a self-contained file; it appears whole or not at all.

    Args:
        checkpoint: its `training` must be JSON values.
        path: the file; missing folders are created.
        dtype: of the values in the file: float32, or float16 for half the size.

    Raises:
        WeightsError: when values are not finite in `dtype`, `training` is not JSON, or the file
            cannot be written.
    """
    tensors = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in checkpoint.model.state_dict().items()
    }
    require_finite(tensors, path)
    try:
        training = json.dumps(checkpoint.training)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"{path}: the training facts are not JSON ({one_line(error)}); "
            "use strings, numbers, lists and dicts"
        ) from error
    metadata = {
        "format": "diffir",
        "format_version": str(FORMAT_VERSION),
        "stage": str(checkpoint.stage),
        "task": checkpoint.task,
        "config": json.dumps(asdict(checkpoint.config)),
        "training": training,
        "diffir": __version__,
    }
    if checkpoint.preset is not None:
        metadata["preset"] = checkpoint.preset
    store(_ordered(safetensors.torch.save(tensors, metadata)), path)


def _ordered(file: bytes) -> bytes:
    """The same file with its metadata sorted, as safetensors orders them anew on every call."""
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + file[end:]


def read(path: Path) -> Checkpoint:
    """The network of a file of ours, float32 on the CPU.

    Raises:
        WeightsError: when the file is broken, not ours, too new, or contradicts itself.
    """
    with _opened(path) as file:
        info = _info(file, path)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model = filled(info.stage, info.config, tensors, path)
    return Checkpoint(model=model, task=info.task, preset=info.preset, training=info.training)


def read_info(path: Path) -> Info:
    """The metadata alone; no tensor is loaded. Raises WeightsError as `read`."""
    with _opened(path) as file:
        return _info(file, path)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error}); check the path") from error
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is not a complete safetensors file ({error}); get another copy"
        ) from error


def _info(file: Any, path: Path) -> Info:
    metadata = dict(file.metadata() or {})
    if metadata.pop("format", None) != "diffir":
        raise WeightsError(
            f"{path} is a safetensors file of another program; give one that diffir wrote"
        )
    version = metadata.pop("format_version", "none")
    if version != str(FORMAT_VERSION):
        raise WeightsError(
            f"format version {version} found in {path}; diffir {__version__} reads version "
            f"{FORMAT_VERSION}, so update diffir"
        )
    parts = [file.get_slice(name) for name in file.keys()]  # noqa: SIM118
    sizes = {
        "parameters": sum(prod(part.get_shape()) for part in parts),
        "dtype": ", ".join(sorted({part.get_dtype() for part in parts})),
    }
    try:
        return Info.model_validate({**metadata, **sizes})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "task"
        reason = f"{where}: {first['msg'].removeprefix('Value error, ')}"
    except ArithmeticError as error:  # division by a 0 in config
        reason = str(error)
    raise WeightsError(f"{path} has an invalid header ({reason}); get another copy")
