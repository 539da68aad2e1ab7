"""The actor in each process of a Ray cluster: a restorer that takes file after file."""

import os
from contextlib import suppress

import torch

from diffir._version import __version__
from diffir.errors import DiffIRError
from diffir.inference.batch import Encoded, Outcome
from diffir.inference.engine import default_budget
from diffir.inference.jobs import Job
from diffir.inference.manifest import Known
from diffir.inference.workers import Build, Step

from .cluster import imported


class Worker:
    """An actor; it writes nothing, so it can be killed at any moment."""

    def __init__(
        self, build: Build, step: Step, *, folder: str, threads: int, workers: int
    ) -> None:
        """Make a worker, to be completed by `prepare`.

        Args:
            build: makes the restorer.
            step: makes the output file of a job.
            folder: the driver's working directory, used here too if it exists.
            threads: per picture.
            workers: number of workers in the cluster, some of them perhaps on this machine.
        """
        self.build = build
        self.step = step
        self.workers = workers
        self.threads = threads
        with suppress(OSError):
            os.chdir(folder)
        torch.set_num_threads(threads)

    def prepare(self) -> str | DiffIRError:
        """Load the network; returns the version of diffir, or the error as a value."""
        try:
            self.restorer = self.build()
        except DiffIRError as error:
            return error
        if self.restorer.memory is None and self.restorer.device.type == "cpu":
            self.restorer.memory = self.share_of_memory()
        return __version__

    def restore(self, job: Job, known: Known | None) -> Encoded | Outcome:
        """The output file of a job, or its outcome without one."""
        return self.step(self.restorer, job, known)

    def share_of_memory(self) -> int | None:
        """Free bytes for each of the workers that fit on this machine."""
        free = default_budget(self.restorer.device)
        return None if free is None else free // min(self.workers, neighbours(self.threads))


def neighbours(cores: int) -> int:
    """How many workers of this many cores fit on this machine."""
    ray = imported()
    here = ray.get_runtime_context().get_node_id()
    found = next(node["Resources"] for node in ray.nodes() if node["NodeID"] == here)
    return max(1, int(found.get("CPU", 1) // cores))
