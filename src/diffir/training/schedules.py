"""Learning rates as functions of the step."""

import math
from collections.abc import Sequence

from diffir.recipe import Cosine, Milestones, Phase


def learning_rate(phase: Phase, step: int) -> float:
    """The rate at `step` (from 0): linear warm-up, then the phase's schedule."""
    if step < phase.warmup_steps:
        return phase.learning_rate * (step + 1) / phase.warmup_steps
    done, rate, schedule = step - phase.warmup_steps, phase.learning_rate, phase.schedule
    if isinstance(schedule, Milestones):
        return rate * schedule.factor ** sum(done >= milestone for milestone in schedule.steps)
    if isinstance(schedule, Cosine):
        length = max(1, phase.steps - phase.warmup_steps)
        return cosine(rate, schedule.final_learning_rate, done / length)
    return restarted(rate, schedule.periods, schedule.final_learning_rates, done)


def cosine(first: float, last: float, progress: float) -> float:
    """Half a cosine from the first rate to the last, `progress` from 0 to 1."""
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


def restarted(rate: float, periods: Sequence[int], finals: Sequence[float], done: int) -> float:
    """The rate after `done` steps of a sequence of cosines."""
    for period, final in zip(periods, finals, strict=True):
        if done < period:
            return cosine(rate, final, done / period)
        done -= period
    return finals[-1]
