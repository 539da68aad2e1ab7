"""The summary of all rows: means with confidence intervals, scores of sets, worst pictures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from diffir.errors import DataError

from .crops import View
from .evaluate import Judged, Plan, Row
from .fid import Gaussian, frechet_distance
from .metrics import METRICS
from .published import Published

RESAMPLES = 2000  # with which the interval's ends vary by one percent of its width
CONFIDENCE = 95  # percent
MOST_VIEWS = 12
BATCH = 512  # features per update of a set's statistics


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean of a metric over pictures, with its confidence interval."""

    value: float
    low: float | None = None
    """Of the bootstrap's 95 % confidence interval; None for one picture or for whole sets."""
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """All results of an evaluation."""

    data: str
    benchmark: str | None
    plan: Plan
    rows: tuple[Row, ...]
    """Sorted from the first method's worst picture, failed ones first."""
    means: Mapping[str, Mapping[str, Mean]]
    """By method and metric."""
    views: tuple[View, ...] = ()
    """Of the worst pictures, worst first."""
    published: tuple[Published, ...] = ()
    """The paper's scores for comparison."""
    notes: tuple[str, ...] = ()
    """Sentences on deviations from the request, or from comparability."""

    @property
    def methods(self) -> tuple[str, ...]:
        """In the given order."""
        return tuple(method.name for method in self.plan.methods)

    def of(self, method: str) -> list[Row]:
        """The rows of a method without error."""
        return [row for row in self.rows if row.method == method and not row.error]

    def seconds(self, method: str) -> float | None:
        """Mean wall-clock time per picture; None if nothing was computed."""
        times = [row.seconds for row in self.of(method) if row.seconds is not None]
        return float(np.mean(times)) if times else None

    @property
    def broken(self) -> list[Row]:
        """The rows with an error."""
        return [row for row in self.rows if row.error]


def report_of(
    plan: Plan,
    found: Iterable[Judged],
    *,
    data: str,
    benchmark: str | None = None,
    published: tuple[Published, ...] = (),
    notes: Sequence[str] = (),
) -> Report:
    """The report of an evaluation; of all crops, only the worst are kept in memory."""
    rows, views, sets = list[Row](), list[tuple[float, View]](), SetStatistics()
    ranking = [name for name in plan.metrics if not METRICS[name].of_sets]
    for judged in found:
        rows += judged.rows
        sets.add(judged.features)
        if judged.view is not None:
            views.append((badness(judged.rows, ranking), judged.view))
            views = sorted(views, key=lambda pair: -pair[0])[:MOST_VIEWS]
    order = {
        row.picture: badness([row], ranking) for row in rows if row.method == plan.methods[0].name
    }
    return Report(
        data=data,
        benchmark=benchmark,
        plan=plan,
        rows=tuple(sorted(rows, key=lambda row: -order[row.picture])),
        means=means_of(plan, rows, sets),
        views=tuple(seen for _, seen in views),
        published=published,
        notes=tuple(notes),
    )


def badness(rows: Sequence[Row], ranking: Sequence[str]) -> float:
    """How bad a picture is by the first metric and method; ∞ if it failed."""
    if rows[0].error:
        return float("inf")
    if not ranking:
        return 0.0
    value = rows[0].scores[ranking[0]]
    return -value if METRICS[ranking[0]].better == "higher" else value


def means_of(plan: Plan, rows: Sequence[Row], sets: "SetStatistics") -> dict[str, dict[str, Mean]]:
    """The means of all methods by metric; metrics without a value are left out."""
    means: dict[str, dict[str, Mean]] = {}
    for method in (each.name for each in plan.methods):
        whole = [row for row in rows if row.method == method and not row.error]
        means[method] = {}
        for metric in plan.metrics:
            if METRICS[metric].of_sets:
                distance = sets.distance(method)
                if distance is not None:
                    means[method][metric] = Mean(value=distance)
            elif whole:
                values = [row.scores[metric] for row in whole]
                means[method][metric] = mean_of(values, plan.seed)
    return means


def mean_of(values: Sequence[float], seed: int) -> Mean:
    """The mean and its percentile bootstrap interval; the same seed gives the same interval."""
    numbers = np.array(values)
    value = float(numbers.mean())
    if len(numbers) < 2 or not np.isfinite(numbers).all():
        return Mean(value=value)
    generator = np.random.default_rng(seed)
    means = [
        numbers[generator.integers(len(numbers), size=len(numbers))].mean()
        for _ in range(RESAMPLES)
    ]
    rest = (100 - CONFIDENCE) / 2
    low, high = np.percentile(means, [rest, 100 - rest])
    return Mean(value=value, low=float(low), high=float(high))


class SetStatistics:
    """Running statistics of the features of every method's pictures and of GT's.

    A picture that a method could not restore is missing only from that method's set.
    """

    def __init__(self) -> None:
        self.waiting: dict[str | None, list[NDArray[np.float32]]] = {}
        self.known: dict[str | None, Gaussian] = {}

    def add(self, features: Mapping[str | None, NDArray[np.float32]]) -> None:
        """Add the features (1, D) of one picture by method, with None for GT."""
        for name, seen in features.items():
            self.waiting.setdefault(name, []).append(seen)
            if len(self.waiting[name]) == BATCH:
                self.join(name)

    def join(self, name: str | None) -> None:
        """Add the waiting features to the statistics."""
        parts = self.waiting.pop(name, [])
        if parts:
            new = Gaussian.of(torch.from_numpy(np.concatenate(parts)))
            self.known[name] = self.known[name].joined(new) if name in self.known else new

    def distance(self, method: str) -> float | None:
        """FID of a method's pictures; None if there are fewer than two."""
        self.join(method)
        self.join(None)
        if method not in self.known or None not in self.known:
            return None
        try:
            return float(frechet_distance(self.known[method], self.known[None]))
        except DataError:
            return None
