"""What the tests of training share: runs on the CPU, and orders in few words."""

from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from torch import nn

from diffir.errors import StoppedError
from diffir.loading import load_checkpoint
from diffir.presets import Preset
from diffir.training.build import train
from diffir.training.fabric import opened_fabric
from diffir.training.order import Order
from diffir.training.run import Run

CPU = torch.device("cpu")


def run_in(folder: Path, **changes: Any) -> Run:
    """A run that logs every step and saves every other."""
    folder.mkdir(exist_ok=True)
    options = {"log_every": 1, "save_every": 2, **changes}
    return Run(folder=folder, fabric=opened_fabric(CPU), **options)


def train_in(folder: Path, preset: Preset, *words: object, **options: Any) -> Path:
    """The weights file of a training."""
    order = Order(preset=preset, data=tuple(map(str, words)), folder=folder)
    run = {key: options.pop(key) for key in [*options] if key not in ("workers", "on_bad")}
    return train(order, run_in(folder, **run), **options)


def train_in_parts(folder: Path, preset: Preset, *words: object) -> Path:
    """The weights file of a training that was stopped after its first step, and went on."""
    stop = Event()
    stop.set()
    with pytest.raises(StoppedError):
        train_in(folder, preset, *words, stop=stop)
    return train_in(folder, preset, *words)


def trained(folder: Path, preset: Preset, *words: object, **options: Any) -> nn.Module:
    """The network of a training."""
    return load_checkpoint(train_in(folder, preset, *words, **options)).model


def equal(first: nn.Module, second: nn.Module) -> bool:
    """Whether all tensors of two networks are."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
