"""The learning-rate range test (Smith 2017).

A phase is trained for some steps while its rate grows by the same factor each step. A good rate is
well below the one at which the loss is lowest: long runs meet worse batches than the test did.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from diffir.errors import RecipeError
from diffir.recipe import PHASES, Recipe

from .beginning import recipe_of
from .build import Training
from .feed import feed_of
from .guards import failures_explained
from .loop import PhaseRun
from .order import Order
from .run import Run

SMOOTHING = 0.9  # decay of the loss's running mean
SETTLED = 10  # steps until that mean no longer depends on the luck of the first batches
BROKEN = 2.0  # times the size of the loss above its minimum: training won't recover
MARGIN = 10.0  # between the rate of the lowest loss and the suggested one


@dataclass(frozen=True, kw_only=True)
class RateRange:
    """The result of a range test."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    """Smoothed, at each rate; a test that diverges ends early."""

    @property
    def turning(self) -> float | None:
        """The rate of the lowest loss; None where it does not fall once the mean has settled."""
        lowest = min(range(SETTLED, len(self.losses)), key=self.losses.__getitem__, default=SETTLED)
        return self.rates[lowest] if lowest > SETTLED else None

    @property
    def suggested(self) -> float | None:
        """A rate with a margin to that, if there is one."""
        return self.turning and self.turning / MARGIN


def growing(low: float, high: float, steps: int) -> list[float]:
    """Rates from low to high, each by the same factor above the last."""
    return [low * (high / low) ** (step / (steps - 1)) for step in range(steps)]


def rate_range_of(
    order: Order, name: str, run: Run, *, low: float, high: float, steps: int
) -> RateRange:
    """The range test of a phase of an order; nothing is written into the run's folder.

    A phase of stage 2 needs the order's teacher or start, as if it were the first.

    Raises:
        RecipeError, WeightsError, DataError, DeviceError: as `train`, or when the recipe has no
            such phase.
    """
    phases = recipe_of(order.preset).phases()
    if name not in phases:
        raise RecipeError(f"phase {name!r} found; {order.preset.name} has {', '.join(phases)}")
    alone = Recipe.model_validate(
        {**dict(recipe_of(order.preset)), **dict.fromkeys(PHASES), name: phases[name]}
    )
    order = replace(order, preset=replace(order.preset, recipe=alone))
    beginning = order.beginning()
    feed = feed_of(order.preset, order.data, device=run.fabric.device)
    training = Training(order=order, feed=feed, run=run, facts={})
    with failures_explained(run.fabric):
        stage = training.stage_of(name, beginning.start, beginning.teacher, None)
        return rate_range(PhaseRun(name, stage, alone, feed, run, None), low, high, steps)


def rate_range(phase: PhaseRun, low: float, high: float, steps: int) -> RateRange:
    """Train a phase's network while its rate grows; discard the network afterwards.

    Args:
        phase: not started yet.
        low, high: the first and the last rate.
        steps: number of rates.

    Raises:
        RecipeError: when the range is empty, or the loss is not finite at its lowest rate.
    """
    if not 0 < low < high < math.inf or steps < 2:
        raise RecipeError(f"rates from {low:g} to {high:g} in {steps} steps found; they must rise")
    rates, losses, mean = growing(low, high, steps), list[float](), 0.0
    for step, (batch, rate) in enumerate(zip(phase.stream.batches(0, steps), rates, strict=True)):
        parts = [*phase.parts(batch, phase.stream.steps.draws(step))]
        terms, _ = phase.learner.step(parts, rate)
        loss = float(sum(term for name, term in terms.items() if name != "gradient"))
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smoothed = mean / (1 - SMOOTHING ** (step + 1))
        if not math.isfinite(smoothed) or broken(smoothed, losses):
            break
        losses.append(smoothed)
    if not losses:
        raise RecipeError(f"the loss is not finite at the lowest rate, {low:g}; start lower")
    return RateRange(rates=tuple(rates[: len(losses)]), losses=tuple(losses))


def broken(loss: float, before: Sequence[float]) -> bool:
    """Whether a loss is so far above its earlier minimum that training can't recover.

    The scale is how far the loss has fallen, or its size where that is more: losses may be negative
    (minus the PSNR), and at first they have not fallen.
    """
    if len(before) < SETTLED:
        return False
    lowest = min(before)
    return loss - lowest > BROKEN * max(before[0] - lowest, abs(lowest))
