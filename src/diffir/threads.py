"""Threads for work that Ctrl-C may end at any moment.

Ctrl-C and SIGTERM raise between any two steps of the main thread. Where that happens within a
Condition, as executors, futures and semaphores have them, its lock is never let go, and a thread
that wants it waits for ever, and so does the run. `SimpleQueue` is one step.
"""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Answer(Generic[Result]):
    """What a thread will have made."""

    def __init__(self) -> None:
        self._made: SimpleQueue[tuple[Result | None, BaseException | None]] = SimpleQueue()

    def is_there(self) -> bool:
        """Whether `get` will not wait."""
        return not self._made.empty()

    def get(self) -> Result:
        """What was made, once; raises what the work raised."""
        result, error = self._made.get()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def make(self, work: Callable[[Item], Result], item: Item) -> None:
        """Do the work."""
        try:
            self._made.put((work(item), None))
        except BaseException as error:  # is raised where the answer is asked for
            self._made.put((None, error))


class Threads:
    """Some threads that take work in turn, up to the end of a `with`.

    Args:
        count: of threads.
        finish: whether at the end they do all that they were given, or only what they are at.
    """

    def __init__(self, count: int, *, finish: bool) -> None:
        self._finish = finish
        self._given: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [Thread(target=self._work) for _ in range(count)]

    def __enter__(self) -> "Threads":
        for thread in self._threads:
            thread.start()
        return self

    def submit(self, work: Callable[[Item], Result], item: Item) -> Answer[Result]:
        """Give work to whichever thread is free next."""
        answer = Answer[Result]()
        self._given.put(lambda: answer.make(work, item))
        return answer

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if not self._finish:
            self._forget()
        for _ in self._threads:
            self._given.put(None)
        for thread in self._threads:
            thread.join()

    def _forget(self) -> None:
        try:
            while True:
                self._given.get_nowait()
        except Empty:
            return

    def _work(self) -> None:
        while (task := self._given.get()) is not None:
            task()
