"""The log of a run as curves over all its steps, phase after phase."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .runs import PHASES, Line, numbers_of

Numbers = NDArray[np.float64]
Pick = Callable[[Line], dict[str, float]]
"""Selects some values of a line, by name."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A phase on the axis of steps."""

    phase: str
    first: int
    """Steps of all earlier phases."""
    last: int
    lines: list[Line]
    """Its lines of the log."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The values of one name in one phase."""

    name: str
    steps: Numbers
    """(N,), rising, counted over all phases."""
    values: Numbers
    """(N,), finite."""


def spans_of(lines: Iterable[Line]) -> list[Span]:
    """The phases in the log, one after the other; unknown ones last."""
    by_phase: dict[str, list[Line]] = {phase: [] for phase in PHASES}
    for line in lines:
        by_phase.setdefault(line["phase"], []).append(line)
    spans: list[Span] = []
    for phase, of_phase in by_phase.items():
        if of_phase:
            first = spans[-1].last if spans else 0
            last = first + max(line["step"] for line in of_phase)
            spans.append(Span(phase=phase, first=first, last=last, lines=of_phase))
    return spans


def curves_of(spans: Iterable[Span], pick: Pick) -> list[Curve]:
    """A curve for each name in each phase, in order of appearance."""
    curves = []
    for span in spans:
        points: dict[str, list[tuple[int, float]]] = {}
        for line in span.lines:
            for name, value in pick(line).items():
                points.setdefault(name, []).append((span.first + line["step"], value))
        for name, pairs in points.items():
            steps, values = np.array(sorted(pairs), np.float64).T
            curves.append(Curve(name=name, steps=steps, values=values))
    return curves


def beginning(prefix: str) -> Pick:
    """Picks the values whose names begin with a prefix."""

    def pick(line: Line) -> dict[str, float]:
        return {key: x for key, x in numbers_of(line).items() if key.startswith(prefix)}

    return pick


def running_mean(values: Numbers, reach: int) -> Numbers:
    """The mean of each value and up to `reach` values before and after it, (N,)."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    here = np.arange(len(values))
    low, high = np.maximum(here - reach, 0), np.minimum(here + reach + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)
