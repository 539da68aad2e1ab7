"""Learning rates: warm-up, cosine, milestones, restarts."""

import pytest
from pydantic import ValidationError

from diffir.recipe import Cosine, Milestones, Phase, Restarts, Schedule
from diffir.training.schedules import learning_rate


def rates(schedule: Schedule, steps: int = 110, warmup_steps: int = 10) -> list[float]:
    phase = Phase(
        steps=steps, learning_rate=1.0, warmup_steps=warmup_steps, schedule=schedule,
        batch_size=1, lq_size=8,
    )  # fmt: skip
    return [learning_rate(phase, step) for step in range(steps)]


def test_the_rate_warms_up_and_falls_along_a_cosine() -> None:
    found = rates(Cosine(final_learning_rate=0))
    assert found[0] == pytest.approx(0.1)
    assert found[9] == found[10] == pytest.approx(1.0)
    assert found[60] == pytest.approx(0.5)
    assert found[109] < 1e-3
    assert found[10:] == sorted(found[10:], reverse=True)


def test_milestones_multiply_the_rate_from_their_step_on() -> None:
    found = rates(Milestones(steps=(30, 60), factor=0.5), warmup_steps=0)
    assert [found[step] for step in (0, 29, 30, 59, 60, 109)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert set(rates(Milestones(), warmup_steps=0)) == {1}


def test_restarts_begin_anew_may_rise_and_keep_their_last_rate() -> None:
    schedule = Restarts(periods=(40, 60), final_learning_rates=(1.5, 0.1))
    found = rates(schedule, warmup_steps=0)
    assert found[:40] == sorted(found[:40])
    assert found[20] == pytest.approx(1.25)
    assert found[39] == pytest.approx(1.5, abs=1e-2)
    assert found[40] == 1
    assert found[70] == pytest.approx(0.55)
    assert found[100:] == [0.1] * 10


def test_restarts_want_a_final_rate_for_each_period() -> None:
    with pytest.raises(ValidationError, match="2 periods and 1 final learning rates found"):
        Restarts(periods=(1, 2), final_learning_rates=(0.1,))
