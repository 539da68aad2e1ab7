"""Many files on a Ray cluster: actors hold the network and restore; only the driver writes.

The actors are our own because Ray Data retries a file that kills its process for ever.
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

MAX_DEATHS = 3
"""Process deaths after which a file fails, or failed starts in a row after which the run does."""
TASKS_PER_ACTOR = 2  # one running and one queued, so that no actor waits for the driver
SAVING = 16  # files written at once: object stores need concurrency
logger = logging.getLogger(__name__)

Actor: TypeAlias = Any
Ref: TypeAlias = Any


@dataclass(frozen=True, kw_only=True)
class Task:
    """A call of an actor: to restore a file, or, without one, to load the network."""

    actor: Actor
    job: Job | None = None
    deaths: int = 0
    """Processes that died while restoring this file."""


UnderWay: TypeAlias = dict[Ref, Task]
"""In order of submission, which is the order in which each actor works."""


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

    Each actor builds its restorer once and reads its own pictures, so their paths, and that of
    weights that are not bundled, must be valid on every machine. Results are sent here to be
    written; at most two per actor and 16 being written are in flight. A file whose process or
    machine dies is retried on another one, and fails after three deaths.

    Args:
        workers: number of actors; None: as many as the cluster has room for now.
        cores: per actor, also its number of threads.
        gpus: per actor; with 0.5, two share one, so that one computes while the other reads.
            None: one, if the cluster has any.

    Raises:
        DiffIRError: what `build` raises in a worker.
        DeviceError: when no machine can hold a worker, no worker starts, or one has another
            version of diffir.
    """
    ray = imported()
    if gpus is None:
        gpus = min(1, ray.cluster_resources().get("GPU", 0))
    most = room(ray.nodes(), cores, gpus)  # raises if there is none: Ray would wait for ever
    workers = min(workers or most, len(jobs))
    step = partial(make, seed=seed, overwrite=overwrite, max_pixels=max_pixels)
    # No restarts by Ray: deaths are counted here, per file.
    actor = ray.remote(num_cpus=cores, num_gpus=gpus, max_restarts=0, max_task_retries=0)(Worker)
    start = partial(
        actor.remote, build, step, folder=str(Path.cwd()), threads=cores, workers=workers
    )
    waiting = deque(Task(actor=None, job=job) for job in jobs)
    pool = Pool(ray=ray, start=start, known=partial(known_to, manifest), waiting=waiting)
    outcomes = saved(
        results_of(pool, workers), partial(save_encoded, manifest=manifest, overwrite=overwrite)
    )
    for done, outcome in enumerate(outcomes, start=1):
        if progress is not None:
            progress(done)
        yield outcome


def room(nodes: Iterable[dict[str, Any]], cores: int, gpus: float) -> int:
    """How many actors fit on the machines of a cluster; raises DeviceError if none does."""
    found = [node["Resources"] for node in nodes if node["Alive"]]
    fits = [
        min(int(has.get("CPU", 0) // cores), int(has.get("GPU", 0) // gpus) if gpus else 1 << 30)
        for has in found
    ]
    if sum(fits) == 0:
        there = ", ".join(f"{has.get('CPU', 0):g} and {has.get('GPU', 0):g}" for has in found)
        raise DeviceError(
            f"a worker needs {cores} cores and {gpus:g} GPUs, the cluster's machines have {there}; "
            "request less"
        )
    return sum(fits)


def results_of(pool: "Pool", workers: int) -> Iterator[Encoded | Outcome]:
    """The actors' results for all jobs; the actors are killed at the end, also after an error."""
    try:
        for _ in range(workers):
            pool.add_actor()
        while pool.has_work():
            message = pool.next_message()
            if isinstance(message, DiffIRError):
                raise message
            if message is not None:
                yield message
    finally:
        for actor in pool.actors:
            pool.ray.kill(actor)
    if pool.waiting:
        raise DeviceError(
            f"no worker could start on the cluster ({pool.reason}); see the logs of Ray"
        )


@dataclass(kw_only=True)
class Pool:
    """The live actors, their tasks, and the tasks that wait for an actor."""

    ray: Any
    start: Callable[[], Actor]
    known: Callable[[Job], Known | None]
    waiting: deque[Task]
    actors: list[Actor] = field(default_factory=list)
    under_way: UnderWay = field(default_factory=dict)
    failed_starts: int = 0
    """Actors that died before they were ready, since the last successful start."""
    reason: str = ""
    """Why the last one died."""

    def add_actor(self) -> None:
        """Start an actor; Ray waits until the cluster has room for it."""
        actor = self.start()
        self.actors.append(actor)
        self.under_way[actor.prepare.remote()] = Task(actor=actor)

    def assign(self, actor: Actor) -> None:
        """Fill an actor's queue; near the end with one task only, because others are idle."""
        wanted = TASKS_PER_ACTOR if len(self.waiting) > len(self.actors) else 1
        has = sum(task.actor is actor for task in self.under_way.values())
        for _ in range(min(wanted - has, len(self.waiting))):
            task = replace(self.waiting.popleft(), actor=actor)
            assert task.job is not None
            self.under_way[actor.restore.remote(task.job, self.known(task.job))] = task

    def has_work(self) -> bool:
        """Whether more results can come; actors that are still starting don't count at the end."""
        if self.waiting:
            return bool(self.under_way)
        return any(task.job is not None for task in self.under_way.values())

    def next_message(self) -> Encoded | Outcome | DiffIRError | None:
        """Wait for the next event: a result, a worker's error in loading, or None for neither."""
        (ref,), _ = self.ray.wait(list(self.under_way))
        actor = self.under_way[ref].actor
        try:
            message = self.ray.get(ref)
        except lost(self.ray) as error:
            return self.on_death(actor, first_line(error))
        job = self.under_way.pop(ref).job
        if job is None and not isinstance(message, DiffIRError):
            require_version(message)
            self.failed_starts = 0
        self.assign(actor)
        return message if job is not None or isinstance(message, DiffIRError) else None

    def on_death(self, actor: Actor, reason: str) -> Outcome | None:
        """Requeue the tasks of a dead actor; returns the outcome of a file that killed too many."""
        logger.warning("a worker died (%s); its files go to other workers", reason)
        self.reason = reason
        self.actors.remove(actor)
        self.ray.kill(actor)  # it may only be unreachable
        first, *others = take_from(self.under_way, actor)
        self.waiting.extendleft(reversed(others))
        outcome = None
        if first.job is None:
            self.failed_starts += 1
        elif first.deaths + 1 < MAX_DEATHS:
            self.waiting.appendleft(replace(first, deaths=first.deaths + 1))
        else:
            outcome = killed(first.job, reason)
        if self.waiting and self.failed_starts < MAX_DEATHS:
            self.add_actor()
        return outcome


def lost(ray: Any) -> tuple[type[Exception], ...]:
    """What Ray raises when a process, its machine or its result is lost."""
    errors = ray.exceptions
    return (
        errors.RayActorError,
        errors.ObjectLostError,
        errors.OutOfMemoryError,
        errors.NodeDiedError,
        errors.WorkerCrashedError,
    )


def take_from(under_way: UnderWay, actor: Actor) -> list[Task]:
    """Remove an actor's unfinished tasks; the first is the one it was working on."""
    refs = [ref for ref, task in under_way.items() if task.actor is actor]
    return [under_way.pop(ref) for ref in refs]


def killed(job: Job, reason: str) -> Outcome:
    """The outcome of a job that killed several processes."""
    return Outcome(
        job=job,
        error=f"{job.source}: {MAX_DEATHS} processes died restoring it ({reason}), probably out of "
        "memory; use fewer --workers or a smaller --memory",
    )


def require_version(found: str) -> None:
    """Raise DeviceError if a worker has another version, since results are labelled with ours."""
    if found != __version__:
        raise DeviceError(
            f"a worker has diffir {found}, this is {__version__}; install one on all machines"
        )


def saved(
    results: Iterator[Encoded | Outcome], save: Callable[[Encoded | Outcome], Outcome]
) -> Iterator[Outcome]:
    """Save results in threads; yields the outcomes in the results' order."""
    with Threads(SAVING, finish=True) as threads:
        under_way: deque[Answer[Outcome]] = deque()
        for result in results:
            under_way.append(threads.submit(save, result))
            while under_way and (len(under_way) > SAVING or under_way[0].is_there()):
                yield under_way.popleft().get()
        while under_way:
            yield under_way.popleft().get()
