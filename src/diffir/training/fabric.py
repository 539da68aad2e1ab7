"""On what a run trains: one CPU or GPU, or several processes that share each batch."""

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
        device: the kind of device, and which one if it is one.
        processes: of each node that share a batch, a GPU each; without, what torchrun or SLURM
            say, else 1.
        nodes: computers.
        shard: whether each process holds only its share of weights, moments and average.

    Raises:
        DeviceError: when there are not so many devices, or nobody to share with.
        MissingLibraryError: when training's libraries are not installed.
    """
    with needed("train", "training"):
        from lightning_fabric import Fabric
    count = processes or told_processes()
    if device.type == "cuda" and count > torch.cuda.device_count():
        raise DeviceError(
            f"{count} processes asked for and {torch.cuda.device_count()} GPUs found; "
            f"each process wants one"
        )
    if device.type == "mps" and count > 1:
        raise DeviceError(f"{count} processes asked for on MPS; there it can be only one")
    world = count * nodes
    if shard and world == 1:
        raise DeviceError("--shard found with one process; give it several (--devices 2), or none")
    single = world == 1 and device.type == "cuda"
    strategy = sharded_parallel(world) if shard else data_parallel() if world > 1 else "auto"
    return Fabric(
        accelerator=device.type,
        devices=[device.index or 0] if single else count,
        num_nodes=nodes,
        strategy=strategy,
        precision="32-true",  # autocast is the learner's: here it would round GT, too
    )


def data_parallel() -> "DDPStrategy":
    """Gradients averaged over processes; buffers are equal in all, so they are not sent around."""
    from lightning_fabric.strategies.ddp import DDPStrategy

    # In channels last a gradient's strides may differ from its bucket's, which costs a copy
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    known = signature(DistributedDataParallel).parameters
    name = next(name for name in ("forward_sync_buffers", "broadcast_buffers") if name in known)
    options: dict[str, Any] = {name: False}
    return DDPStrategy(**options)


def told_processes() -> int:
    """The processes of this node that torchrun or SLURM started, else 1."""
    told = os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("SLURM_NTASKS_PER_NODE")
    return int(told) if told and told.isdigit() else 1
