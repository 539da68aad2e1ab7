"""Work on many files in several processes, its results in order."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from diffir.errors import DataError

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4  # items under way for each process: a slow one does not make the others wait


def cores() -> int:
    """The cores that this process may use, which on a cluster are fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)  # on Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def in_order(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int | None = None
) -> Iterator[Result]:
    """What `work`, which has to be picklable, makes of each item; None: a process for each core.

    What `work` raises ends it all; so does Ctrl-C, when the items under way are done.

    Raises:
        DataError: when a process is killed, as systems do that run out of memory.
    """
    jobs = min(jobs or cores(), len(items))
    if jobs < 2:
        yield from map(work, items)
        return
    # spawn: the same on every system, and safe where threads hold locks
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=ignore_ctrl_c) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > jobs * AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise DataError(
                "a process was ended from outside, maybe for lack of memory; try fewer --jobs"
            ) from error
        finally:
            for future in waiting:
                future.cancel()


def ignore_ctrl_c() -> None:
    """Leave Ctrl-C, which reaches every process of a terminal, to the one that started the rest."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
