"""The devices of a run: one CPU or GPU, or several processes that share each batch."""

import os
import warnings
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.parallel import DistributedDataParallel

from diffir.errors import DeviceError
from diffir.libraries import needed

from .sharding import sharded_parallel

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy


def opened_fabric(
    device: torch.device, processes: int | None = None, nodes: int = 1, *, shard: bool = False
) -> "Fabric":
    """Fabric for a device; the processes are not started yet (`launch` does that).

    Args:
        device: the type of device, with its index if it is only one.
        processes: per node, one GPU each; by default as torchrun or SLURM set it, else 1.
        nodes: number of computers.
        shard: whether to shard weights, moments and average over the processes.

    Raises:
        DeviceError: when there are too few devices, or sharding has only one process.
        MissingLibraryError: when training's libraries are not installed.
    """
    with needed("train", "training"):
        from lightning_fabric import Fabric
    count = processes or processes_from_environment()
    if device.type == "cuda" and count > torch.cuda.device_count():
        raise DeviceError(
            f"{count} processes requested and {torch.cuda.device_count()} GPUs found; "
            f"each process needs one"
        )
    if device.type == "mps" and count > 1:
        raise DeviceError(f"{count} processes requested on MPS; use one")
    world = count * nodes
    if shard and world == 1:
        raise DeviceError(
            "--shard found with one process; use several (--devices 2), or leave it out"
        )
    single = world == 1 and device.type == "cuda"
    strategy = sharded_parallel(world) if shard else data_parallel() if world > 1 else "auto"
    return Fabric(
        accelerator=device.type,
        devices=[device.index or 0] if single else count,
        num_nodes=nodes,
        strategy=strategy,
        precision="32-true",  # the learner does autocast; Fabric's would round GT, too
    )


def data_parallel() -> "DDPStrategy":
    """DDP without broadcasting buffers, which are the same in all processes."""
    from lightning_fabric.strategies.ddp import DDPStrategy

    # In channels last a gradient's strides may differ from its bucket's, which costs a copy
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    known = signature(DistributedDataParallel).parameters
    name = next(name for name in ("forward_sync_buffers", "broadcast_buffers") if name in known)
    options: dict[str, Any] = {name: False}
    return DDPStrategy(**options)


def processes_from_environment() -> int:
    """The number of processes that torchrun or SLURM started on this node, else 1."""
    count = os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("SLURM_NTASKS_PER_NODE")
    return int(count) if count and count.isdigit() else 1
