"""Learning rates as functions of the step."""

import math

from diffir.recipe import Phase


def learning_rate(phase: Phase, step: int) -> float:
    """Rate of `step` (from 0): linear warm-up, then half a cosine down to the final rate."""
    if step < phase.warmup_steps:
        return phase.learning_rate * (step + 1) / phase.warmup_steps
    progress = (step - phase.warmup_steps) / max(1, phase.steps - phase.warmup_steps)
    span = phase.learning_rate - phase.final_learning_rate
    return phase.final_learning_rate + span * (1 + math.cos(math.pi * progress)) / 2
