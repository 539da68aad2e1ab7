"""Many files on a Ray cluster: actors that hold the network restore, the driver alone writes.

Actors of our own: Ray Data's would for ever try a file that its processes die at.
"""

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from diffir._version import __version__
from diffir.errors import DeviceError, DiffIRError
from diffir.images import MAX_PIXELS
from diffir.inference.batch import Encoded, Outcome, make, save_encoded
from diffir.inference.jobs import Job
from diffir.inference.manifest import Known, Manifest, known_to
from diffir.inference.restorer import Progress
from diffir.inference.workers import Build
from diffir.threads import Answer, Threads

from .cluster import first_line, imported
from .ray_worker import Worker

LIVES = 3
"""Processes that may die at one file before it fails, or one after another at their start."""
AT_A_WORKER = 2  # one under work, and one that waits there, so that no worker waits for the driver
SAVING = 16  # files that are written at once: what an object store wants
logger = logging.getLogger(__name__)

Actor: TypeAlias = Any
Ref: TypeAlias = Any


@dataclass(frozen=True, kw_only=True)
class Errand:
    """What an actor was asked for: a file, or, without one, to get ready."""

    actor: Actor
    job: Job | None = None
    deaths: int = 0
    """Of processes that were at this file."""


UnderWay: TypeAlias = dict[Ref, Errand]
"""In the order in which it was asked for, which is that in which each actor works."""


def restore_on_ray(
    build: Build,
    jobs: Sequence[Job],
    *,
    workers: int | None = None,
    cores: int = 1,
    gpus: float | None = None,
    seed: int = 0,
    overwrite: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
    manifest: Manifest | None = None,
) -> Generator[Outcome, None, None]:
    """As `restore_in_processes`, on the Ray cluster that `cluster` is connected to.

    Each actor builds its restorer once and reads its pictures by itself, so their paths, and that
    of weights that are not bundled, must lead somewhere on every machine. Results come here to be
    written; no more are made ahead than two for each actor and 16 that are being written. A file
    whose process or machine dies is given to another one, and fails after three deaths.

    Args:
        workers: actors; None: as many as the cluster has room for now.
        cores: of each actor, and its threads.
        gpus: of each actor; a half lets two share one, so that one computes while the other reads.
            None: one, where the cluster has any.

    Raises:
        DiffIRError: what `build` raises in a worker.
        DeviceError: when no machine can hold a worker, none could start, or one has another version
            of diffir.
    """
    ray = imported()
    if gpus is None:
        gpus = min(1, ray.cluster_resources().get("GPU", 0))
    most = room(ray.nodes(), cores, gpus)  # raises where there is none: Ray would wait for ever
    workers = min(workers or most, len(jobs))
    step = partial(make, seed=seed, overwrite=overwrite, max_pixels=max_pixels)
    # No restarts by Ray: what was lost, and with what it died, is counted here.
    actor = ray.remote(num_cpus=cores, num_gpus=gpus, max_restarts=0, max_task_retries=0)(Worker)
    hire = partial(
        actor.remote, build, step, folder=str(Path.cwd()), threads=cores, workers=workers
    )
    waiting = deque(Errand(actor=None, job=job) for job in jobs)
    crew = Crew(ray=ray, hire=hire, ask=partial(known_to, manifest), waiting=waiting)
    outcomes = saved(
        results_of(crew, workers), partial(save_encoded, manifest=manifest, overwrite=overwrite)
    )
    for done, outcome in enumerate(outcomes, start=1):
        if progress is not None:
            progress(done)
        yield outcome


def room(nodes: Iterable[dict[str, Any]], cores: int, gpus: float) -> int:
    """How many actors the machines of a cluster hold; raises DeviceError where it is none."""
    found = [node["Resources"] for node in nodes if node["Alive"]]
    fits = [
        min(int(has.get("CPU", 0) // cores), int(has.get("GPU", 0) // gpus) if gpus else 1 << 30)
        for has in found
    ]
    if sum(fits) == 0:
        there = ", ".join(f"{has.get('CPU', 0):g} and {has.get('GPU', 0):g}" for has in found)
        raise DeviceError(
            f"a worker wants {cores} cores and {gpus:g} GPUs; the cluster's machines have {there}, "
            "so ask for less"
        )
    return sum(fits)


def results_of(crew: "Crew", workers: int) -> Iterator[Encoded | Outcome]:
    """What the actors make of the jobs; however it ends, no actor is left."""
    try:
        for _ in range(workers):
            crew.begin()
        while crew.has_work():
            message = crew.next_message()
            if isinstance(message, DiffIRError):
                raise message
            if message is not None:
                yield message
    finally:
        for actor in crew.actors:
            crew.ray.kill(actor)
    if crew.waiting:
        raise DeviceError(
            f"no worker could start on the cluster ({crew.reason}); see the logs of Ray"
        )


@dataclass(kw_only=True)
class Crew:
    """The actors that live, and what they were asked for."""

    ray: Any
    hire: Callable[[], Actor]
    ask: Callable[[Job], Known | None]
    waiting: deque[Errand]
    actors: list[Actor] = field(default_factory=list)
    under_way: UnderWay = field(default_factory=dict)
    stillborn: int = 0
    """Actors that died before they were ready, since one was."""
    reason: str = ""
    """What the last one died of."""

    def begin(self) -> None:
        """One more actor, which may have to wait until the cluster has room for it."""
        actor = self.hire()
        self.actors.append(actor)
        self.under_way[actor.prepare.remote()] = Errand(actor=actor)

    def assign(self, actor: Actor) -> None:
        """Give an actor what it may have; near the end no more than one, for others are idle."""
        wanted = AT_A_WORKER if len(self.waiting) > len(self.actors) else 1
        has = sum(errand.actor is actor for errand in self.under_way.values())
        for _ in range(min(wanted - has, len(self.waiting))):
            errand = replace(self.waiting.popleft(), actor=actor)
            assert errand.job is not None
            self.under_way[actor.restore.remote(errand.job, self.ask(errand.job))] = errand

    def has_work(self) -> bool:
        """Whether a file is to come; nobody waits for those who get ready, or for room."""
        if self.waiting:
            return bool(self.under_way)
        return any(errand.job is not None for errand in self.under_way.values())

    def next_message(self) -> Encoded | Outcome | DiffIRError | None:
        """Wait for what comes first: a result, what a worker can't load, or None."""
        (ref,), _ = self.ray.wait(list(self.under_way))
        actor = self.under_way[ref].actor
        try:
            message = self.ray.get(ref)
        except lost(self.ray) as error:
            return self.bury(actor, first_line(error))
        job = self.under_way.pop(ref).job
        if job is None and not isinstance(message, DiffIRError):
            require_version(message)
            self.stillborn = 0
        self.assign(actor)
        return message if job is not None or isinstance(message, DiffIRError) else None

    def bury(self, actor: Actor, reason: str) -> Outcome | None:
        """Let others do what a dead actor was asked for; the outcome of a file that killed many."""
        logger.warning("a worker died (%s); what it had goes to others", reason)
        self.reason = reason
        self.actors.remove(actor)
        self.ray.kill(actor)  # one that is only out of reach
        first, *others = take_from(self.under_way, actor)
        self.waiting.extendleft(reversed(others))
        outcome = None
        if first.job is None:
            self.stillborn += 1
        elif first.deaths + 1 < LIVES:
            self.waiting.appendleft(replace(first, deaths=first.deaths + 1))
        else:
            outcome = killed(first.job, reason)
        if self.waiting and self.stillborn < LIVES:
            self.begin()
        return outcome


def lost(ray: Any) -> tuple[type[Exception], ...]:
    """What Ray raises where a process, its machine or what it made is gone."""
    errors = ray.exceptions
    return (
        errors.RayActorError,
        errors.ObjectLostError,
        errors.OutOfMemoryError,
        errors.NodeDiedError,
        errors.WorkerCrashedError,
    )


def take_from(under_way: UnderWay, actor: Actor) -> list[Errand]:
    """What an actor was asked for and has not handed over, taken out; first what it was at."""
    refs = [ref for ref, errand in under_way.items() if errand.actor is actor]
    return [under_way.pop(ref) for ref in refs]


def killed(job: Job, reason: str) -> Outcome:
    """The outcome of a job that several processes died of."""
    return Outcome(
        job=job,
        error=f"{job.source}: {LIVES} processes died at it ({reason}), often for want of memory; "
        "give fewer --workers or a smaller --memory",
    )


def require_version(found: str) -> None:
    """Raise DeviceError where a worker is another program than this, which says what it made."""
    if found != __version__:
        raise DeviceError(
            f"a worker has diffir {found}, this is {__version__}; install one on all machines"
        )


def saved(
    results: Iterator[Encoded | Outcome], save: Callable[[Encoded | Outcome], Outcome]
) -> Iterator[Outcome]:
    """The outcomes of results that threads save, in the results' order."""
    with Threads(SAVING, finish=True) as threads:
        under_way: deque[Answer[Outcome]] = deque()
        for result in results:
            under_way.append(threads.submit(save, result))
            while under_way and (len(under_way) > SAVING or under_way[0].is_there()):
                yield under_way.popleft().get()
        while under_way:
            yield under_way.popleft().get()
