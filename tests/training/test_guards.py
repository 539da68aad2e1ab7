"""Guards: what has gone wrong stops the run in words, and what is usual does not."""

import math
from pathlib import Path

import pytest
import torch

from diffir.errors import RecipeError
from diffir.presets import RECIPES, choose
from diffir.training.build import train
from diffir.training.fabric import opened_fabric
from diffir.training.guards import Guard
from diffir.training.order import Order
from diffir.training.run import Run


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_stops_and_is_named_with_its_step(value: float) -> None:
    guard = Guard("joint")
    guard.check(6, {"pixel_l1": 0.1, "ipr_l1": 0.2})
    with pytest.raises(RecipeError, match="joint: ipr_l1 is not finite at step 7") as caught:
        guard.check(7, {"pixel_l1": 0.1, "ipr_l1": value})
    assert "joint.learning_rate" in str(caught.value)
    with pytest.raises(RecipeError, match="pixel_l1 and gradient are not finite"):
        guard.check(8, {"pixel_l1": value, "gradient": value})


def test_a_gradient_a_hundred_times_beyond_the_usual_stops() -> None:
    guard = Guard("stage1")
    for step in range(1, 6):
        guard.check(step, {"gradient": 2.0})
    guard.check(6, {"gradient": 199.0})
    with pytest.raises(
        RecipeError, match=r"stage1: the gradient explodes \(201, it used to be 2\)"
    ):
        guard.check(7, {"gradient": 201.0})


@pytest.mark.parametrize("before", [[1.0] * 4, [0.0] * 20])
def test_four_reports_make_nothing_usual_and_zeros_are_no_measure(before: list[float]) -> None:
    guard = Guard("stage1")
    for step, norm in enumerate([*before, 1e9]):
        guard.check(step, {"gradient": norm})


def test_a_gradient_that_grows_slowly_becomes_the_usual_one() -> None:
    guard = Guard("stage1")
    for step in range(300):
        guard.check(step, {"gradient": 1.2**step})


def test_a_discriminator_that_long_tells_all_apart_stops() -> None:
    guard = Guard("finetune", collapse_after=100)
    guard.check(50, {"accuracy": 0.98})
    guard.check(100, {"accuracy": 0.995})
    guard.check(199, {"accuracy": 1.0})
    with pytest.raises(RecipeError, match=r"apart since step 100 .*lower finetune"):
        guard.check(200, {"accuracy": 0.99})


def test_a_discriminator_that_errs_once_begins_anew_and_without_a_limit_it_may_win() -> None:
    guard, patient = Guard("finetune", collapse_after=100), Guard("finetune")
    for step in range(0, 1000, 50):
        means = {"accuracy": 0.9 if step % 100 == 0 else 1.0}
        guard.check(step, means)
        patient.check(step, {"accuracy": 1.0})


def test_a_run_that_diverges_keeps_its_last_good_state(tmp_path: Path) -> None:
    off = "stage1.schedule={kind: milestones, steps: [2], factor: 1.0e+30}"
    settings = (off, "stage1.steps=4", "stage1.warmup_steps=0", "stage1.batch_size=1")
    preset = choose(RECIPES, "toy-sr", settings)
    run = Run(folder=tmp_path, fabric=opened_fabric(torch.device("cpu")), save_every=2)
    with pytest.raises(RecipeError, match=r"stage1: .* (is|are) not finite at step 4; the last"):
        train(Order(preset=preset, data=("dead-leaves",), folder=tmp_path), run)
    (state,) = (tmp_path / "states").iterdir()
    kept = torch.load(state, weights_only=True)
    assert kept["step"] == 2
    assert all(tensor.isfinite().all() for tensor in kept["model"].values())
