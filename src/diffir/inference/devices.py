"""Which device and how precise: what `auto` means, and what to do when half precision fails."""

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
