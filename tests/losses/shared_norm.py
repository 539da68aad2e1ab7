"""Batch norm in two processes, each with half of a batch; what they found goes into files.

python shared_norm.py FOLDER: reads whole.pt there, writes 0.pt and 1.pt.
"""

import copy
import sys
from pathlib import Path

import torch
from torch import Tensor, distributed, nn

from diffir.losses.norm import SharedBatchNorm2d

PROCESSES = 2


def found_by(norm: nn.BatchNorm2d, x: Tensor) -> dict[str, Tensor]:
    """Output, running moments, and gradients of it and of its squared gradient: as R1 has them."""
    x = x.clone().requires_grad_()
    y = norm(x)
    (slope,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
    first = torch.autograd.grad(y.square().sin().sum(), [x, norm.weight], retain_graph=True)
    second = torch.autograd.grad(slope.square().sum(), [x, norm.weight])
    names = ("slope", "first", "first of weight", "second", "second of weight")
    gradients = dict(zip(names, (slope.detach(), *first, *second), strict=True))
    return {"output": y.detach(), **gradients, **dict(norm.named_buffers())}


def work(rank: int, folder: Path) -> None:
    store = f"file://{folder / 'store'}"
    distributed.init_process_group("gloo", store, rank=rank, world_size=PROCESSES)
    given = torch.load(folder / "whole.pt", weights_only=True)
    norm = SharedBatchNorm2d(given["near"].shape[1])
    norm.load_state_dict(given["norm"])
    found = {
        "far": copy.deepcopy(norm)(given["far"][rank::PROCESSES]).detach(),
        **found_by(norm, given["near"][rank::PROCESSES]),
    }
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    torch.multiprocessing.start_processes(work, (folder,), PROCESSES, start_method="fork")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
