"""A folder split among the processes that torchrun starts, on one machine or on many, without Ray.

Each process restores and writes its own part and its own manifest file; only the numbers for the
final report are gathered.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from diffir.errors import PictureError
from diffir.inference.jobs import Job

ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets in the environment of each process."""
TIMEOUT = timedelta(days=30)  # of waiting at the end for the slowest process


@dataclass(frozen=True, kw_only=True)
class Rank:
    """The number of this process among those that share the work."""

    number: int
    of: int

    def part(self, jobs: Sequence[Job]) -> list[Job]:
        """Every `of`-th job, after checking that all processes see the same jobs.

        Raises:
            PictureError: when they don't see the same pictures.
        """
        names = "\0".join(job.relative.as_posix() for job in jobs).encode()
        digest = int.from_bytes(hashlib.sha256(names).digest()[:7], "big")
        seen = gathered([digest, len(jobs)])
        if any(other != seen[0] for other in seen):
            counts = ", ".join(str(count) for _, count in seen)
            raise PictureError(
                f"the processes see different pictures ({counts} of them); give all machines the "
                "same disk or store, and add no pictures while they start"
            )
        return list(jobs[self.number :: self.of])


@contextmanager
def rank_of_torchrun() -> Iterator[Rank | None]:
    """Connect to the other processes of torchrun; yields None if there are none."""
    if not all(name in os.environ for name in ENVIRONMENT) or os.environ["WORLD_SIZE"] == "1":
        yield None
        return
    distributed.init_process_group("gloo", timeout=TIMEOUT)
    try:
        yield Rank(number=distributed.get_rank(), of=distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def gathered(numbers: Sequence[int]) -> list[list[int]]:
    """The numbers of every process, after waiting for the slowest."""
    ours = torch.tensor(numbers)
    all_of_them = [torch.empty_like(ours) for _ in range(distributed.get_world_size())]
    distributed.all_gather(all_of_them, ours)
    return [theirs.tolist() for theirs in all_of_them]


def summed(numbers: Sequence[int]) -> list[int]:
    """The sums over all processes, for one report."""
    return [sum(column) for column in zip(*gathered(numbers), strict=True)]


def device_of_rank(device: str) -> str:
    """The device of a process: its own GPU if processes share a machine; else unchanged."""
    if device not in ("auto", "cuda") or not torch.cuda.is_available():
        return device
    return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"


def processes_here() -> int:
    """How many of the processes run on this machine and share its memory."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))
