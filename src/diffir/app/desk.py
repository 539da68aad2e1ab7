"""The desk: takes orders of the page's visitors, one at a time each, and knows how far they are."""

from collections.abc import Mapping
from contextlib import ExitStack
from copy import copy
from threading import Lock
from types import MappingProxyType

from diffir.inference import Restorer
from diffir.serving import Settings
from diffir.serving.accept import Service, job_of
from diffir.serving.job import Job
from diffir.serving.jobs import Jobs
from diffir.serving.limits import Tickets
from diffir.serving.metrics import Metrics
from diffir.serving.schema import Order

STARTED = "as this page was started with"
MEMORIES: Mapping[str, int | None] = MappingProxyType(
    {
        STARTED: None,
        "500 MB": 500_000_000,
        "1 GB": 1_000_000_000,
        "2 GB": 2_000_000_000,
        "4 GB": 4_000_000_000,
    }
)
"""What a picture may take, in words and bytes; None: what the restorer was made with."""


def within(name: str, memory: str) -> str:
    """What the queue calls a network with a bound of memory."""
    return f"{name}, {memory}"


def bounded(restorer: Restorer, memory: int | None) -> Restorer:
    """The same network, on the same device, with another bound of memory."""
    if memory is None:
        return restorer
    other = copy(restorer)
    other.memory = memory
    return other


class Desk:
    """The queue of a page, and who waits in it."""

    def __init__(self, restorers: Mapping[str, Restorer], settings: Settings) -> None:
        self.restorers, self.settings = restorers, settings
        self._under_way: dict[str, Job] = {}
        self._lock = Lock()
        variants = {
            within(name, words): bounded(restorer, memory)
            for name, restorer in restorers.items()
            for words, memory in MEMORIES.items()
        }
        metrics = Metrics()
        self._service = Service(
            restorers=variants,
            settings=settings,
            tickets=Tickets(settings.max_jobs, settings.max_client_jobs),
            jobs=Jobs(variants, settings, metrics),
            metrics=metrics,
        )

    def open(self) -> None:
        """Begin to work."""
        self._service.jobs.start()

    def close(self) -> None:
        """Take no more orders, and end the one under way at its next stripe."""
        for visitor in list(self._under_way):
            self.cancel(visitor)
        self._service.jobs.close()
        self._service.jobs.join()

    def submit(self, order: Order, visitor: str) -> Job:
        """Queue an order; raises HTTPException, its detail a sentence for the visitor."""
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
        """Let go of a job that has ended, and with it of its file; of no later one."""
        with self._lock:
            if self._under_way.get(visitor) is job:
                del self._under_way[visitor]

    def place(self, job: Job) -> int | None:
        """In the queue, from 1; None once the job runs."""
        return self._service.jobs.view(job).place

    def cancel(self, visitor: str) -> None:
        """Take a visitor's order out of the queue, or stop it at the next stripe."""
        with self._lock:
            job = self._under_way.pop(visitor, None)
        if job is not None:
            self._service.jobs.forget(job)
