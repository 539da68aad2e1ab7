"""The cost of a network: parameters, multiply-adds, and seconds and memory on this machine."""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from diffir.errors import DeviceError
from diffir.inference.devices import pick_device
from diffir.loading import load_checkpoint
from diffir.model import DiffIRConfig, DiffIRS2
from diffir.presets import PRESETS

USER_MISTAKE = 2  # exit code of the measuring process after it has printed an error message


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of one picture in the stage-2 network, including CPEN and denoiser."""

    parameters: int
    multiply_adds: int
    """Of convolutions, linear layers and attention's products; as usual without norms and
    activations."""
    seconds: float
    """Wall-clock time for one picture in memory, median of several after a warm-up."""
    peak_memory: int | None
    """Bytes beyond those of an idle process with torch (CPU), or allocated (CUDA): weights, picture
    and all intermediate values. None if the system does not report it (MPS, Windows)."""
    where: str
    """The device of the last two: `cpu, 2 threads, float32`."""


def cost(model: str | Path, size: tuple[int, int], *, device: str = "auto") -> Cost:
    """The cost of restoring one picture; a fresh process with random weights measures it.

    Args:
        model: a preset's name, which needs no weights, or a weights file.
        size: width and height of LQ in pixels, padded for the network.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps` …

    Raises:
        WeightsError: when the model is neither.
        DeviceError: when the device is missing, or runs out of memory.
    """
    task, config = task_and_config(model)
    picked = pick_device(device)
    with torch.device("meta"):
        network = DiffIRS2(config)
    return Cost(
        parameters=parameters(network),
        multiply_adds=count(config, size),
        **measured(task, config, size, str(picked)),
    )


def task_and_config(model: str | Path) -> tuple[str, DiffIRConfig]:
    """The network of a preset's name or a weights file; raises WeightsError."""
    preset = PRESETS.get(str(model))
    if preset is not None:
        return preset.task.name, preset.config
    checkpoint = load_checkpoint(model)
    return checkpoint.task, checkpoint.config


def count(config: DiffIRConfig, size: tuple[int, int]) -> int:
    """Multiply-adds of a stage-2 network for an LQ of a width and height, padded."""
    width, height = (side + -side % config.multiple_of for side in size)
    # inserted variance adds noise, without multiplying, and would have to be drawn
    config = replace(config, insert_variance=False)
    with torch.device("meta"):
        lq = torch.empty(1, config.in_channels, height, width)
        return multiply_adds(DiffIRS2(config), lq, torch.empty(1, config.ipr_dim))


def parameters(network: nn.Module) -> int:
    """The number of parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


@torch.no_grad()
def multiply_adds(network: nn.Module, *inputs: Tensor | int) -> int:
    """Multiply-adds of one forward, by torch's counter; on the meta device nothing is computed."""
    with FlopCounterMode(display=False) as counter:
        network.eval()(*inputs)
    return counter.get_total_flops() // 2  # it counts a multiply-add as two operations


def measured(task: str, config: DiffIRConfig, size: tuple[int, int], device: str) -> dict[str, Any]:
    """`seconds`, `peak_memory` and `where` of `Cost`, from a separate process.

    Raises:
        DeviceError: when it runs out of memory.
    """
    asked = {"task": task, "config": asdict(config), "size": size, "device": device}
    done = subprocess.run(
        [sys.executable, "-m", "diffir.evaluation.measure"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return json.loads(done.stdout)
    if done.returncode == USER_MISTAKE:
        raise DeviceError(done.stderr.strip())
    if done.returncode < 0:  # killed, which Linux does when memory is short
        raise DeviceError(
            f"a picture of {size[0]}×{size[1]} on {device} was stopped by signal "
            f"{-done.returncode}, probably for lack of memory; give a smaller size"
        )
    raise RuntimeError(done.stderr)
