"""Restore many files in several processes: each has its own restorer, only the parent writes.

Worker processes write no files, so they may be killed at any moment.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from threading import Thread, current_thread, main_thread
from typing import TypeAlias

import torch

from diffir.data.parallel import cores
from diffir.errors import DeviceError, DiffIRError
from diffir.images import MAX_PIXELS

from .batch import Encoded, Outcome, make, save_encoded
from .jobs import Job
from .manifest import Known, Manifest, known_to
from .restorer import Progress, Restorer

Build: TypeAlias = Callable[[], Restorer]
"""Creates the restorer in each process; must be picklable."""
Step: TypeAlias = Callable[[Restorer, Job, Known | None], Encoded | Outcome]
Ready: TypeAlias = bool
Message: TypeAlias = Ready | DiffIRError | Encoded | Outcome | None
"""From a process: ready, a failure to start, or a result; None if it has died."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A process and its current job."""

    process: SpawnProcess
    ready: bool = False
    job: Job | None = None


Crew: TypeAlias = dict[Connection, Worker]
"""The running processes, by our ends of their pipes."""


def restore_in_processes(
    build: Build,
    jobs: Sequence[Job],
    *,
    workers: int,
    seed: int = 0,
    overwrite: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
    manifest: Manifest | None = None,
) -> Generator[Outcome, None, None]:
    """As `restore_files`, in `workers` processes, with outcomes in the order of completion.

    If a process is killed, for example for lack of memory, its file fails and a new process
    continues.

    Raises:
        DiffIRError: from `build` in a process.
        DeviceError: when no process could start.
    """
    step = partial(make, seed=seed, overwrite=overwrite, max_pixels=max_pixels)
    results = results_of(build, step, deque(jobs), partial(known_to, manifest), workers)
    for done, encoded in enumerate(results, start=1):
        outcome = save_encoded(encoded, manifest, overwrite=overwrite)
        if progress is not None:
            progress(done)
        yield outcome


def results_of(
    build: Build,
    step: Step,
    waiting: deque[Job],
    ask: Callable[[Job], Known | None],
    workers: int,
) -> Iterator[Encoded | Outcome]:
    """The results of the jobs; no process is left running, however it ends."""
    crew: Crew = {}
    workers = min(workers, len(waiting))
    hire = partial(start, crew, build, step, threads_for(workers))
    try:
        for _ in range(workers):
            hire()
        while crew:
            for pipe in ready_pipes(crew):
                worker, message = crew[pipe], receive(pipe)
                if isinstance(message, DiffIRError):
                    raise message
                if message is None or not waiting:
                    part_from(crew, pipe)
                else:
                    assign(crew, pipe, waiting.popleft(), ask)
                if message is None and worker.ready and waiting:
                    hire()  # not for one that died while starting: its successor would, too
                if message is None and worker.job is not None:
                    yield killed(worker.process, worker.job)
                elif isinstance(message, Encoded | Outcome):
                    yield message
    finally:
        dismiss(crew)
    if waiting:
        raise DeviceError(
            "no process could start, often for lack of memory; use fewer --workers or none"
        )


def start(crew: Crew, build: Build, step: Step, threads: int | None) -> None:
    """Start a process and add it to the crew."""
    context = multiprocessing.get_context("spawn")
    with held_back():
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, build, step, threads), daemon=True)
        process.start()
        theirs.close()  # else we would not notice its end
        crew[ours] = Worker(process=process)


def ready_pipes(crew: Crew) -> list[Connection]:
    """Wait for pipes that can be read."""
    return [pipe for pipe in wait(list(crew)) if isinstance(pipe, Connection)]


def receive(pipe: Connection) -> Message:
    """The next message of a process."""
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return None


def assign(crew: Crew, pipe: Connection, job: Job, ask: Callable[[Job], Known | None]) -> None:
    """Give a job to a process; if it has died meanwhile, the next `receive` reports that."""
    crew[pipe] = replace(crew[pipe], ready=True, job=job)
    with suppress(OSError):
        pipe.send((job, ask(job)))


def part_from(crew: Crew, pipe: Connection) -> None:
    """Close a pipe, which ends its process if it is still running."""
    with held_back():
        worker = crew.pop(pipe)
        pipe.close()
    worker.process.join(5)


def dismiss(crew: Crew) -> None:
    """End all processes at once."""
    with held_back():
        for worker in crew.values():
            worker.process.kill()
        for pipe, worker in crew.items():
            worker.process.join()
            pipe.close()


def killed(process: SpawnProcess, job: Job) -> Outcome:
    """The outcome of a job whose process has died."""
    code = process.exitcode or 0
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return Outcome(
        job=job,
        error=f"{job.source}: its process was killed ({how}), often for lack of memory; "
        "use fewer --workers or a smaller --memory",
    )


@contextmanager
def held_back() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until the end of a block; new processes never receive them.

    So whenever the parent is interrupted, every process is in the crew.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        with noted():
            yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # else starting it later would unblock the signals
    with noted():  # the mask is only of this thread, and another could receive them
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def noted() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM, and raise the first at the end of the block.

    For code with locks that an interruption would leave locked, such as executors.
    """
    if current_thread() is not main_thread():  # which never receives them
        yield []
        return
    came: list[int] = []

    def note(number: int, _frame: object) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def let_through() -> None:
    """Unblock the signals in a new process, so that its pool can terminate it."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def threads_for(workers: int) -> int | None:
    """Threads per process: an equal share; None if OMP_NUM_THREADS is set."""
    if "OMP_NUM_THREADS" in os.environ:
        return None
    return max(1, cores() // workers)


def work(pipe: Connection, build: Build, step: Step, threads: int | None) -> None:
    """The main function of a process: job after job until the pipe closes or the parent dies."""
    for number in SIGNALS:  # a terminal sends Ctrl-C to all processes; the parent ends us
        signal.signal(number, signal.SIG_IGN)
    Thread(target=end_with_parent, daemon=True).start()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        restorer = build()
    except DiffIRError as error:
        pipe.send(error)
        return
    with suppress(EOFError, OSError):
        pipe.send(True)
        while True:
            job, known = pipe.recv()
            pipe.send(step(restorer, job, known))


def end_with_parent() -> None:
    """End this process, whatever it is doing, as soon as its parent has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
