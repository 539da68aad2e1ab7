"""Which device: what `auto` means, how a network gets there, and when its memory is full."""

from typing import TypeVar

import torch
from torch import nn

from diffir.errors import DeviceError

Network = TypeVar("Network", bound=nn.Module)


def pick_device(name: str = "auto") -> torch.device:
    """The torch device of a name; `auto` is CUDA, then MPS, then the CPU.

    Raises:
        DeviceError: when this machine does not have it.
    """
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next((kind for kind, found in here.items() if found), "cpu"))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device {name!r} is not known; take auto, cpu, cuda or mps") from error
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if device.type not in ("cpu", *here) or not here.get(device.type, True):
        found = ", ".join(["cpu", *(kind for kind, there in here.items() if there)])
        raise DeviceError(f"device {name!r} is not on this machine; found {found}")
    if (device.index or 0) >= count:
        raise DeviceError(f"device {name!r} is not on this machine, which has {count} of that kind")
    return device


def place(network: Network, device: torch.device) -> Network:
    """The network on the device, its kernels in the order that channels-last pictures want."""
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
"""The CPU's words on Linux, on Windows, and those of MPS; only CUDA has a class of its own."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory was lacking, of whatever device."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error) for words in OUT_OF_MEMORY
    )
