"""Batch norm over all processes: that of the whole batch, however it is shared."""

import copy
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from diffir.losses.norm import SharedBatchNorm2d

SCRIPT = Path(__file__).with_name("shared_norm.py")
found_by = runpy.run_path(str(SCRIPT))["found_by"]
SUMS = ("first of weight", "second of weight")
"""What each process knows a part of, as every gradient of parameters."""


def picture(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def alike() -> tuple[nn.BatchNorm2d, SharedBatchNorm2d]:
    """Torch's norm and ours with the same parameters, none of them as at the start."""
    plain, ours = nn.BatchNorm2d(3), SharedBatchNorm2d(3)
    with torch.no_grad():
        for index, tensor in enumerate(plain.state_dict().values()):
            tensor.copy_(tensor + index + 1)
    ours.load_state_dict(plain.state_dict())
    return plain, ours


@pytest.mark.parametrize("training", [True, False])
def test_in_one_process_it_is_torchs_to_the_bit(training: bool) -> None:
    plain, ours = (norm.train(training) for norm in alike())
    wanted, found = found_by(plain, picture(4, 3, 5, 6)), found_by(ours, picture(4, 3, 5, 6))
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forks")
def test_two_processes_find_what_one_finds_in_the_whole_batch(tmp_path: Path) -> None:
    plain, _ = alike()
    near = picture(4, 3, 5, 6) + torch.tensor([0.0, 1.0, 3.0])[:, None, None]
    far = 30 + near / 100  # where E[x²] − E[x]² would be rounding errors
    torch.save({"near": near, "far": far, "norm": plain.state_dict()}, tmp_path / "whole.pt")
    subprocess.run([sys.executable, SCRIPT, tmp_path], check=True)
    wanted = {"far": copy.deepcopy(plain)(far).detach(), **found_by(plain, near)}
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for name, whole in wanted.items():
        for rank, part in enumerate(parts):
            mine = whole[rank::2] if whole.shape == near.shape else whole
            found = sum(other[name] for other in parts) if name in SUMS else part[name]
            # 1e-4: other order of sums, in third powers and derivatives; far: a step of float32
            tolerance = 1e-3 if name == "far" else 1e-4
            torch.testing.assert_close(found, mine, rtol=tolerance, atol=tolerance, msg=name)
