"""Choosing a device, moving a network to it, and what the device can compute."""

import logging
from typing import Literal, TypeAlias, TypeVar, get_args

import torch
from torch import nn

from diffir.errors import DeviceError

logger = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)
Precision: TypeAlias = Literal["float32", "bfloat16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


def pick_device(name: str = "auto") -> torch.device:
    """The torch device of a name; `auto` is the first available of CUDA, MPS and the CPU.

    Raises:
        DeviceError: when this machine does not have it.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next((kind for kind, found in available.items() if found), "cpu"))
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise DeviceError(f"unknown device {name!r}; use auto, cpu, cuda or mps") from error
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if device.type not in ("cpu", *available) or not available.get(device.type, True):
        found = ", ".join(["cpu", *(kind for kind, is_here in available.items() if is_here)])
        raise DeviceError(f"device {name!r} is not on this machine; use {found}")
    if (device.index or 0) >= count:
        raise DeviceError(f"device {name!r} is not on this machine, which has {count} of that kind")
    return device


def to_device(network: Network, device: torch.device) -> Network:
    """Move a network to a device, in channels-last memory format."""
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
"""Messages of the CPU on Linux, on Windows, and of MPS; only CUDA has its own exception class."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory ran out, on any device."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error) for words in OUT_OF_MEMORY
    )


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16; without them it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        return onednn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return True


def usable_precision(asked: Precision, device: torch.device) -> Precision:
    """The requested precision, or float32, with a warning, where bfloat16 would be slower.

    On a CPU with only AVX2, bfloat16 takes ten times as long, in inference and training.
    """
    if asked not in PRECISIONS:
        raise DeviceError(f"precision {asked!r} found; wanted {' or '.join(PRECISIONS)}")
    if asked == "bfloat16" and not computes_bfloat16(device):
        logger.warning("this %s has no instructions for bfloat16; using float32", device.type)
        return "float32"
    return asked
