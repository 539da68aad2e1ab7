"""Seconds and peak memory of a network, measured in the process that `cost` starts.

Reads the request as JSON from standard input, and prints the result as JSON.
"""

import statistics
import sys
import time
from typing import NoReturn

import torch
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from diffir.errors import DiffIRError
from diffir.inference import Restorer
from diffir.inference.devices import is_out_of_memory
from diffir.inference.memory import peak_of_process
from diffir.model import DiffIRConfig, DiffIRS2
from diffir.tasks import TASKS

from .cost import USER_MISTAKE

ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The request."""

    task: str
    config: DiffIRConfig
    size: tuple[int, int]
    """Width and height of LQ."""
    device: str


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The fields of `Cost` that depend on the machine."""

    seconds: float
    peak_memory: int | None
    where: str


def measure(asked: Asked) -> Measured:
    """Restore a random picture a few times; raises DiffIRError as Restorer."""
    before = peak_of_process()
    task = TASKS[asked.task]
    restorer = Restorer(DiffIRS2(asked.config), task, device=asked.device)
    width, height = asked.size
    image = torch.rand(1, 3, height, width)
    masks = (image[:, :1] > 0.5).float() if task.wants_mask else None

    def seconds() -> float:
        began = time.perf_counter()
        restorer.restore_batch(image, masks=masks, seeds=[0])  # waits for the device
        return time.perf_counter() - began

    seconds()  # warm-up: the first one also selects kernels and allocates memory
    median = statistics.median(seconds() for _ in range(ROUNDS))
    memory = peak_memory(restorer.device, before)
    return Measured(seconds=median, peak_memory=memory, where=where(restorer.device))


def peak_memory(device: torch.device, before: int | None) -> int | None:
    """Peak bytes allocated on a GPU, or the peak growth of the process; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    after = peak_of_process()
    if device.type != "cpu" or after is None or before is None:
        return None
    return after - before


def where(device: torch.device) -> str:
    """A short description of the device."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, float32"
    if device.type != "cpu":
        return f"{device}, float32"
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s' * (threads > 1)}, float32"


def give_up(sentence: str) -> NoReturn:
    """Exit with an error message for the parent process."""
    sys.stderr.write(sentence)
    sys.exit(USER_MISTAKE)


def main() -> None:
    """Measure as requested on standard input."""
    asked = TypeAdapter(Asked).validate_json(sys.stdin.read())
    try:
        found = measure(asked)
    except DiffIRError as error:
        give_up(str(error))
    except (MemoryError, RuntimeError) as error:  # even the picture does not fit
        if not is_out_of_memory(error):
            raise
        width, height = asked.size
        give_up(f"a picture of {width}×{height} does not fit into memory; give a smaller size")
    sys.stdout.write(TypeAdapter(Measured).dump_json(found).decode())


if __name__ == "__main__":
    main()
