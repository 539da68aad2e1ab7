"""The learning-rate range test (Smith 2017): where a rate begins to help, and where it breaks.

A phase is trained for some steps while its rate grows by the same factor each step. A good rate is
well below the one at which the loss turns: runs that last see worse batches than the test did.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from diffir.errors import RecipeError
from diffir.recipe import PHASES, Recipe

from .beginning import recipe_of
from .build import Training
from .feed import feed_of
from .guards import lack_of_memory_told
from .loop import PhaseRun
from .order import Order
from .run import Run

SMOOTHING = 0.9  # of the loss, by its running mean
SETTLED = 10  # steps after which that mean says more than the chance of its first batches
BROKEN = 2.0  # times the size of the loss above its least: from here on it only gets worse
MARGIN = 10.0  # below the rate of the least loss


@dataclass(frozen=True, kw_only=True)
class RateRange:
    """What a range test saw."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    """Smoothed, at each rate; a test that breaks ends early."""

    @property
    def turning(self) -> float:
        """The rate of the least loss."""
        return self.rates[min(range(len(self.losses)), key=self.losses.__getitem__)]

    @property
    def suggested(self) -> float:
        """A rate with a margin to that."""
        return self.turning / MARGIN


def growing(low: float, high: float, steps: int) -> list[float]:
    """Rates from low to high, each by the same factor above the last."""
    return [low * (high / low) ** (step / (steps - 1)) for step in range(steps)]


def rate_range_of(
    order: Order, name: str, run: Run, *, low: float, high: float, steps: int
) -> RateRange:
    """The range test of a phase as ordered; the run's folder is left empty.

    A phase of stage 2 wants the order's teacher or start, as if it was the first.

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
    with lack_of_memory_told(run.fabric.device):
        stage = training.stage_of(name, beginning.start, beginning.teacher, None)
        return rate_range(PhaseRun(name, stage, alone, feed, run, None), low, high, steps)


def rate_range(phase: PhaseRun, low: float, high: float, steps: int) -> RateRange:
    """Train a phase's network while its rate grows; the network is of no use afterwards.

    Args:
        phase: not begun yet.
        low, high: the first and the last rate.
        steps: between them.

    Raises:
        RecipeError: when the range is none, or the loss is not finite at its lowest rate.
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
        raise RecipeError(f"the loss is not finite at the lowest rate, {low:g}; begin lower")
    return RateRange(rates=tuple(rates[: len(losses)]), losses=tuple(losses))


def broken(loss: float, before: Sequence[float]) -> bool:
    """Whether a loss lies so far above the least of before that training can't recover.

    Far is measured by what the loss has gained since its beginning, or by its own size where that
    is more: it may be below 0 (minus the PSNR), and at first nothing is gained.
    """
    if len(before) < SETTLED:
        return False
    least = min(before)
    return loss - least > BROKEN * max(before[0] - least, abs(least))
