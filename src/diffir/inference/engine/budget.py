"""The memory limit of a run: as given by the user, or the free memory."""

import re
from pathlib import Path

import torch

from diffir.errors import DeviceError

MARGIN = 0.9
"""The default share of the free memory; the rest is left to other programs."""
UNITS = ("", "K", "M", "G", "T")
CGROUP = Path("/sys/fs/cgroup")


def bytes_of(text: str, what: str = "memory") -> int:
    """Bytes of `2GB`, `1.5G`, `500 MB`, `2GiB`; a plain number is bytes.

    `what` is its name in the error.

    Raises:
        DeviceError: when the text is not a size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?", text.strip().upper())
    if found is None or float(found[1]) == 0:
        raise DeviceError(f"{what} {text!r} found; wanted a size like 500MB or 2GB")
    number, unit, binary = found.groups()
    return round(float(number) * (1024 if binary else 1000) ** UNITS.index(unit))


def default_budget(device: torch.device) -> int | None:
    """The default limit on a device in bytes, None if unknown."""
    free = free_memory(device)
    return None if free is None else int(MARGIN * free)


def free_memory(device: torch.device) -> int | None:
    """Free bytes of the GPU, or of Linux and the container of this process."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    counts = [count for count in (free_of_system(), free_of_container()) if count is not None]
    return min(counts, default=None) if device.type == "cpu" else None


def free_of_system(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that Linux can provide without swapping."""
    if not meminfo.exists():
        return None
    lines = meminfo.read_text(encoding="utf-8").splitlines()
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable")]
    return 1024 * int(found[0]) if found else None


def free_of_container(cgroup: Path = CGROUP) -> int | None:
    """Bytes left under the limit of a container (cgroups v2)."""
    limit, current, stat = (cgroup / f"memory.{name}" for name in ("max", "current", "stat"))
    if not limit.exists() or not current.exists() or limit.read_text().strip() == "max":
        return None
    lines = stat.read_text().splitlines() if stat.exists() else []
    cache = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    return max(int(limit.read_text()) - int(current.read_text()) + cache, 0)
