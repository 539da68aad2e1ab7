"""Work on many files in several threads, its results in order.

Threads, since what takes time (decoding, resizing, encoding) leaves Python to others meanwhile, and
processes would each have to load torch first.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import TypeVar

from diffir.threads import Answer, Threads

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4  # items under way for each thread: a slow one does not make the others wait


def cores() -> int:
    """The cores that this process may use, which on a cluster are fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)  # on Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def in_order(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int | None = None,
    stop: Event | None = None,
) -> Iterator[Result]:
    """What `work` makes of each item; `jobs` None: a thread for each core.

    What `work` raises ends it all; so does Ctrl-C, when the items under way are done. `stop` is set
    then, for work that takes long to look at.
    """
    jobs = min(jobs or cores(), len(items))
    if jobs < 2:
        yield from map(work, items)
        return
    waiting: deque[Answer[Result]] = deque()
    with Threads(jobs, finish=False) as threads:
        try:
            for item in items:
                waiting.append(threads.submit(work, item))
                if len(waiting) > jobs * AHEAD:
                    yield waiting.popleft().get()
            while waiting:
                yield waiting.popleft().get()
        finally:
            if stop:
                stop.set()
