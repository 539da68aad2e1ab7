"""Guards: what has gone wrong stops the run in words, and what is usual does not."""

import math
import os
import re
import signal
import sys
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from diffir.data.stream import Made, Steps
from diffir.errors import DeviceError, RecipeError, StoppedError
from diffir.presets import RECIPES, choose
from diffir.training.build import train
from diffir.training.fabric import opened_fabric
from diffir.training.guards import Guard, failures_explained
from diffir.training.learner import Learner
from diffir.training.order import Order
from diffir.training.rate_range import rate_range_of
from diffir.training.run import Run
from trainer import run_in, train_in, train_in_parts

STAGE_1 = (
    *("stage1.steps=4", "stage1.batch_size=1"),
    *("prior=null", "joint=null", "finetune=null"),
)


def fabric_of(processes: int) -> Any:
    return SimpleNamespace(device=torch.device("cpu"), world_size=processes)


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
    with pytest.raises(RecipeError, match=r"stage1: the gradient explodes \(201, before 2\)"):
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
    with pytest.raises(RecipeError, match=r"correctly since step 100, .*lower finetune"):
        guard.check(200, {"accuracy": 0.99})


def test_a_discriminator_that_errs_once_begins_anew_and_without_a_limit_it_may_win() -> None:
    guard, patient = Guard("finetune", collapse_after=100), Guard("finetune")
    for step in range(0, 1000, 50):
        means = {"accuracy": 0.9 if step % 100 == 0 else 1.0}
        guard.check(step, means)
        patient.check(step, {"accuracy": 1.0})


def test_a_discriminator_may_win_while_it_learns_alone_and_no_longer() -> None:
    guard = Guard("finetune", collapse_after=100, warmup_steps=500)
    for step in range(50, 501, 50):
        guard.check(step, {"accuracy": 1.0})
    assert guard.gradients == []
    guard.check(550, {"accuracy": 1.0, "gradient": 2.0})
    assert guard.gradients == [2.0]
    guard.check(600, {"accuracy": 1.0, "gradient": 2.0})
    with pytest.raises(RecipeError, match="since step 550"):
        guard.check(650, {"accuracy": 1.0, "gradient": 2.0})


def test_a_run_goes_on_with_what_its_guard_has_seen(tmp_path: Path) -> None:
    preset = choose(RECIPES, "toy-sr", STAGE_1)
    train_in_parts(tmp_path / "parts", preset, "dead-leaves")
    train_in(tmp_path / "whole", preset, "dead-leaves")
    parts, whole = (
        torch.load(tmp_path / name / "states/stage1-00000004.pt", weights_only=True)["guard"]
        for name in ("parts", "whole")
    )
    assert len(whole["gradients"]) == 4
    assert parts == whole


def test_what_a_guard_has_seen_outlives_its_process() -> None:
    before, after = (Guard("finetune", collapse_after=100) for _ in range(2))
    before.check(50, {"accuracy": 1.0, "gradient": 2.0})
    after.load_state_dict(before.state_dict())
    with pytest.raises(RecipeError, match="since step 50"):
        after.check(150, {"accuracy": 1.0, "gradient": 2.0})
    assert after.gradients == [2.0, 2.0]


def test_a_state_without_a_guard_goes_on(tmp_path: Path) -> None:
    preset = choose(RECIPES, "toy-sr", STAGE_1)
    stop = Event()
    stop.set()
    with pytest.raises(StoppedError):
        train_in(tmp_path, preset, "dead-leaves", stop=stop)
    (file,) = (tmp_path / "states").iterdir()
    old = torch.load(file, weights_only=True)
    del old["guard"]
    torch.save(old, file)
    train_in(tmp_path, preset, "dead-leaves")
    newest = torch.load(tmp_path / "states/stage1-00000004.pt", weights_only=True)
    assert len(newest["guard"]["gradients"]) == 3


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


def test_a_training_that_memory_does_not_hold_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Learner, "step", out_of_memory)
    preset = choose(RECIPES, "toy-sr", STAGE_1)
    sentence = "cpu has not enough memory .*--accumulate 4.*--recompute.*batch_size"
    with pytest.raises(DeviceError, match=sentence):
        train_in(tmp_path / "run", preset, "dead-leaves")
    order = Order(preset=preset, data=("dead-leaves",), folder=tmp_path / "range")
    with pytest.raises(DeviceError, match=sentence):
        rate_range_of(order, "stage1", run_in(order.folder), low=1e-5, high=1e-1, steps=2)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_that_makes_batches_and_is_killed_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Steps.__getitem__

    def killed(steps: Steps, step: int) -> Made:
        if step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return made(steps, step)

    monkeypatch.setattr(Steps, "__getitem__", killed)
    with pytest.raises(DeviceError, match=r"worker was killed.*memory.*--workers 0"):
        train_in(tmp_path, choose(RECIPES, "toy-sr", STAGE_1), "dead-leaves", workers=1)


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), EOFError()])
def test_a_pipe_that_breaks_is_a_workers(error: Exception) -> None:
    with pytest.raises(DeviceError, match="--workers 0"), failures_explained(fabric_of(2)):
        raise error


@pytest.mark.parametrize(
    "said",
    [
        "[pair.cc:544] Connection closed by peer [127.0.0.1]:3421",
        "Connection reset by peer",
        "ncclRemoteError: possibly due to a network error or a remote process exiting",
    ],
)
def test_what_ended_another_process_is_not_explained_by_a_traceback(said: str) -> None:
    with (
        pytest.raises(DeviceError, match="another process of this run ended; its own message"),
        failures_explained(fabric_of(2)),
    ):
        raise RuntimeError(said)
    with pytest.raises(RuntimeError, match=re.escape(said)), failures_explained(fabric_of(1)):
        raise RuntimeError(said)


def test_other_errors_are_not_explained_away() -> None:
    with pytest.raises(RuntimeError, match="bug"), failures_explained(fabric_of(2)):
        raise RuntimeError("bug")
