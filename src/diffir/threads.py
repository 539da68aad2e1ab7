"""Worker threads that Ctrl-C can interrupt safely at any moment.

Ctrl-C and SIGTERM raise between any two bytecodes of the main thread. Inside a Condition, which
executors, futures and semaphores use, its lock is then never released, and the process deadlocks.
The operations of `SimpleQueue` are atomic.
"""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Answer(Generic[Result]):
    """The future result of a thread's work."""

    def __init__(self) -> None:
        self._made: SimpleQueue[tuple[Result | None, BaseException | None]] = SimpleQueue()

    def is_there(self) -> bool:
        """Whether `get` returns at once."""
        return not self._made.empty()

    def get(self) -> Result:
        """The result, only once; raises what the work raised."""
        result, error = self._made.get()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def make(self, work: Callable[[Item], Result], item: Item) -> None:
        """Run the work and store its result."""
        try:
            self._made.put((work(item), None))
        except BaseException as error:  # raised again by `get`
            self._made.put((None, error))


class Threads:
    """A pool of threads, to be used in a `with` statement.

    Args:
        count: number of threads.
        finish: whether leaving the `with` completes all submitted work, or only what is running.
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
        """Queue work for the next free thread."""
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
