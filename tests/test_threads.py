"""Threads that take work in turn, and end whenever Ctrl-C comes."""

import signal
import sys
from collections.abc import Callable, Generator
from threading import Event

import numpy as np
import pytest

from diffir.data.parallel import in_order
from diffir.inference.batch import ahead
from diffir.threads import Threads


def test_what_is_given_is_made_and_what_it_raises_is_raised_where_it_is_asked_for():
    with Threads(2, finish=True) as threads:
        answers = [threads.submit(lambda number: 1 / number, number) for number in (4, 0, 2)]
        assert answers[0].get() == 0.25
        with pytest.raises(ZeroDivisionError):
            answers[1].get()
        assert answers[2].get() == 0.5


@pytest.mark.parametrize("finish", [True, False])
def test_at_the_end_all_is_finished_or_what_is_not_begun_is_left(finish: bool):
    begun, go, done = Event(), Event(), list[int]()

    def work(number: int) -> None:
        begun.set()
        go.wait()
        done.append(number)

    with Threads(1, finish=finish) as threads:
        answers = [threads.submit(work, number) for number in range(3)]
        begun.wait()
        assert not answers[0].is_there()
        if finish:
            go.set()
        else:
            threads._forget()  # as the end does, but with the first surely under way
            go.set()
    assert done == ([0, 1, 2] if finish else [0])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timers of signals")
@pytest.mark.parametrize(
    "run",
    [
        lambda items: ahead(lambda item: item, items),
        lambda items: in_order(lambda item: item, items, jobs=2),
    ],
)
def test_an_interruption_at_any_moment_ends_it(run: Callable):
    moments = np.random.default_rng(0).uniform(1e-4, 2e-3, 300)
    before = signal.signal(signal.SIGVTALRM, signal.default_int_handler)
    try:
        ended = [is_interrupted(run(range(10**6)), moment) for moment in moments]
    finally:
        signal.signal(signal.SIGVTALRM, before)
    assert all(ended)


def is_interrupted(results: Generator, seconds: float) -> bool:
    """Whether results that are taken end by an interruption."""
    next(results)
    # Again and again, for what comes in a finalizer is lost.
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 0.1)
    try:
        for _ in results:
            pass
    except KeyboardInterrupt:
        return True
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return False
