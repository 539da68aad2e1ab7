"""A run that is killed by the system at any moments ends as if nothing had happened."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from PIL import Image
from skimage import data
from torch import Tensor

SCRIPT = Path(__file__).with_name("killed_run.py")
FREE = ("seconds", "memory")  # what two runs of the same may tell differently
PHASES = ["stage1", "prior", "joint", "finetune"]
CUTS = {"a": data.astronaut()[:48, 150:214], "b": data.coffee()[100:148, 200:264]}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, pixels in CUTS.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def told(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in FREE} for line in lines]


def tensors(state: Any, where: str = "") -> dict[str, Any]:
    """All that a state holds, by path."""
    if not isinstance(state, dict | list | tuple):
        return {where: state}
    items = state.items() if isinstance(state, dict) else enumerate(state)
    return {
        path: value
        for key, inner in items
        for path, value in tensors(inner, f"{where}/{key}").items()
    }


def require_equal(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        other = second[name]
        assert torch.equal(value, other) if isinstance(value, Tensor) else value == other, name


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are killed as Unix does it")
def test_a_run_that_was_killed_ten_times_ends_with_the_bits_and_the_log_of_an_unbroken_one(
    tmp_path: Path, photos: Path
) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    command = [sys.executable, SCRIPT, unbroken, broken, photos]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kills = json.loads(done.stdout)
    assert len(kills) == 10
    assert len({phase for phase, _ in kills}) == len(PHASES)
    assert told(broken) == told(unbroken)
    assert [line["phase"] for line in told(broken)] == [name for name in PHASES for _ in range(6)]
    readers = {
        "pt": partial(torch.load, weights_only=True),
        "safetensors": safetensors.torch.load_file,
    }
    for kind, read in readers.items():
        files = sorted(path.relative_to(unbroken) for path in unbroken.rglob(f"*.{kind}"))
        assert len(files) == (8 if kind == "pt" else 5)  # a kill may leave older states beside
        for file in files:
            require_equal(tensors(read(unbroken / file)), tensors(read(broken / file)))
