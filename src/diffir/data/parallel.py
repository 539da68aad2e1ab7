"""Work on many files in several threads, with results in order.

Threads, since decoding, resizing and encoding release Python's lock, and processes would each have
to load torch first.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Event
from typing import Protocol, TypeVar

from diffir.threads import Answer, Threads

Item = TypeVar("Item")
Result = TypeVar("Result")


class Watch(Protocol):
    """Passes items on, say to show progress; called with them, what is done and their number."""

    def __call__(self, items: Iterable[Item], what: str, total: int, /) -> Iterable[Item]:
        """The items."""


def unwatched(items: Iterable[Item], _what: str, _total: int) -> Iterable[Item]:
    """The items, without progress."""
    return items


AHEAD = 4  # pending items per thread, so that the others need not wait for a slow one


def cores() -> int:
    """The cores that this process may use, on a cluster fewer than exist."""
    affinity = getattr(os, "sched_getaffinity", None)  # on Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def in_order(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int | None = None,
    stop: Event | None = None,
) -> Iterator[Result]:
    """The results of `work` on the items; `jobs` None: one thread per core.

    An exception of `work` ends the iteration, and so does Ctrl-C, once the pending items are done.
    `stop` is then set, which long work should check.
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
