"""What each of several processes holds of a stage that is shared out, beside what it is as a whole.

python shares.py PROCESSES NAME...: prints a line of JSON for each preset's stage 1: the numbers of
parameters, moments and average, of the whole network and in each process.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor, distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from diffir.model import DiffIRS1
from diffir.presets import RECIPES
from diffir.training.ema import average_of
from diffir.training.sharding import average_like, sharded
from diffir.training.stages import Stage1


def held(tensor: Tensor) -> int:
    """The numbers of a tensor that this process holds."""
    return tensor.to_local().numel() if isinstance(tensor, DTensor) else tensor.numel()


def shares(name: str, processes: int) -> dict[str, int]:
    """The numbers that this process holds after a step, by what they are."""
    stage = Stage1(DiffIRS1(RECIPES[name].config))
    average = average_of(stage.model)
    count = sum(parameter.numel() for parameter in average.parameters())
    mesh = init_device_mesh("cpu", (processes,), mesh_dim_names=("data_parallel",))
    average = average_like(average, sharded(stage, mesh).model)
    adam = torch.optim.Adam(stage.parameters(), fused=True)
    for parameter in stage.parameters():
        parameter.grad = torch.zeros_like(parameter)
    adam.step()
    moments = [value for state in adam.state.values() for value in state.values() if value.ndim]
    return {
        "whole": count,
        "parameters": sum(map(held, stage.parameters())),
        "moments": sum(map(held, moments)),
        "average": sum(map(held, average.parameters())),
    }


def work(rank: int, processes: int, names: list[str], folder: Path) -> None:
    store = f"file://{folder / 'store'}"
    distributed.init_process_group("gloo", store, rank=rank, world_size=processes)
    for name in names:
        of_all: list[dict[str, int]] = [{} for _ in range(processes)]
        distributed.all_gather_object(of_all, shares(name, processes))
        if rank == 0:
            print(json.dumps(of_all), flush=True)
    distributed.destroy_process_group()


def main(processes: int, names: list[str]) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        options = (processes, names, Path(folder))
        torch.multiprocessing.start_processes(work, options, processes, start_method="fork")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
