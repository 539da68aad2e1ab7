"""The desk: queues the orders of the page's visitors and tracks their progress."""

from collections.abc import Mapping
from contextlib import ExitStack
from copy import copy
from threading import Lock
from types import MappingProxyType

from diffir.inference import Restorer
from diffir.serving import Settings
from diffir.serving.accept import Service, job_of
from diffir.serving.job import Job
from diffir.serving.schema import Order

STARTED = "default"
MEMORIES: Mapping[str, int | None] = MappingProxyType(
    {
        STARTED: None,
        "500 MB": 500_000_000,
        "1 GB": 1_000_000_000,
        "2 GB": 2_000_000_000,
        "4 GB": 4_000_000_000,
    }
)
"""Memory limits per picture, as labels and bytes; None: that of the restorer."""


def within(name: str, memory: str) -> str:
    """The queue's name for a network with a memory limit."""
    return f"{name}, {memory}"


def bounded(restorer: Restorer, memory: int | None) -> Restorer:
    """The same network, on the same device, with another memory limit."""
    if memory is None:
        return restorer
    other = copy(restorer)
    other.memory = memory
    return other


class Desk:
    """The queue of a page, and the job of each visitor."""

    def __init__(self, restorers: Mapping[str, Restorer], settings: Settings) -> None:
        self.restorers, self.settings = restorers, settings
        self._under_way: dict[str, Job] = {}
        self._lock = Lock()
        variants = {
            within(name, words): bounded(restorer, memory)
            for name, restorer in restorers.items()
            for words, memory in MEMORIES.items()
        }
        self._service = Service.of(variants, settings)

    def open(self) -> None:
        """Start the worker thread."""
        self._service.jobs.start()

    def close(self) -> None:
        """Accept no more orders, and stop the running one at its next stripe."""
        for visitor in list(self._under_way):
            self.cancel(visitor)
        self._service.jobs.close()
        self._service.jobs.join()

    def submit(self, order: Order, visitor: str) -> Job:
        """Queue an order; raises HTTPException, whose detail is a sentence for the visitor."""
        with ExitStack() as stack:
            stack.callback(self._service.tickets.take(visitor))
            job = job_of(order, self._service)
            self._service.jobs.add(job, keep=False)
            ticket = stack.pop_all()
            job.outcome.add_done_callback(lambda _: ticket.close())
        with self._lock:
            self._under_way[visitor] = job
        job.outcome.add_done_callback(lambda _: self._forget(visitor, job))
        return job

    def _forget(self, visitor: str, job: Job) -> None:
        """Release a finished job and its file, but not a later job of the same visitor."""
        with self._lock:
            if self._under_way.get(visitor) is job:
                del self._under_way[visitor]

    def place(self, job: Job) -> int | None:
        """Position in the queue, from 1; None once the job runs."""
        return self._service.jobs.view(job).place

    def cancel(self, visitor: str) -> None:
        """Remove a visitor's order from the queue, or stop it at the next stripe."""
        with self._lock:
            job = self._under_way.pop(visitor, None)
        if job is not None:
            self._service.jobs.forget(job)
