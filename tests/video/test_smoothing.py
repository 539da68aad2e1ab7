"""The IPR over time, and the hook through which it is filtered."""

import json
import math

import pytest
import torch
from official import network, toy
from torch import Tensor

from diffir.inference import Restorer, engine
from diffir.inference.network import run_plainly
from diffir.model import DiffIRS2
from diffir.tasks import TASKS
from diffir.video.smoothing import Smoother


def frame(level: float) -> Tensor:
    return torch.full((1, 3, 24, 40), level)


def smoothed(smoother: Smoother, value: float, passed: float, level: float = 0.5) -> float:
    smoother.begin(frame(level), passed)
    return float(smoother(torch.tensor([[value]]))[0, 0])


def test_the_first_ipr_is_taken_and_others_are_approached_exponentially() -> None:
    smoother = Smoother(seconds=2.0)
    assert smoothed(smoother, 1.0, 0.0) == 1.0
    assert smoothed(smoother, 0.0, 2.0) == pytest.approx(math.exp(-1))
    assert smoothed(smoother, 0.0, 1.0) == pytest.approx(math.exp(-1.5))


def test_the_rate_of_frames_does_not_matter() -> None:
    once, often = Smoother(seconds=1.0), Smoother(seconds=1.0)
    smoothed(once, 1.0, 0.0)
    smoothed(often, 1.0, 0.0)
    for _ in range(10):
        slow = smoothed(often, 0.0, 0.05)
    assert smoothed(once, 0.0, 0.5) == pytest.approx(slow)


def test_a_cut_begins_anew() -> None:
    smoother = Smoother(seconds=10.0)
    smoothed(smoother, 1.0, 0.0, level=0.1)
    assert smoothed(smoother, 0.0, 0.04, level=0.9) == 0.0


def test_a_frame_that_is_asked_for_twice_counts_once() -> None:
    smoother = Smoother(seconds=1.0)
    smoothed(smoother, 1.0, 0.0)
    smoother.begin(frame(0.5), 1.0)
    first = smoother(torch.zeros(1, 1))
    assert torch.equal(first, smoother(torch.zeros(1, 1)))


def test_the_state_survives_a_stop_to_the_bit() -> None:
    through, stopped = Smoother(seconds=0.3), Smoother(seconds=0.3)
    torch.manual_seed(0)
    values = torch.randn(6, 1, 32)
    for index, value in enumerate(values):
        if index == 3:
            state = json.loads(json.dumps(stopped.state()))
            stopped = Smoother(seconds=0.3)
            stopped.restore(state, 32)
        for smoother in (through, stopped):
            smoother.begin(frame(0.5 + index / 100), 0.04)
        assert torch.equal(through(value), stopped(value))


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    model = network(2, toy("deblur"))
    assert isinstance(model, DiffIRS2)
    return Restorer(model, TASKS["deblur"], device="cpu")


def photos() -> Tensor:
    return torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))


def test_the_filter_sees_each_ipr_and_its_answer_is_used(restorer: Restorer) -> None:
    seen: list[Tensor] = []

    def nothing(ipr: Tensor) -> Tensor:
        seen.append(ipr)
        return torch.zeros_like(ipr)

    images = photos()
    filtered = restorer.restore_batch(images, seeds=[0, 1], ipr_filter=nothing)
    with torch.no_grad():
        wanted = restorer.model.dirformer(images, torch.zeros(2, 32)).clamp(0, 1)
    assert [ipr.shape for ipr in seen] == [(1, 32), (1, 32)]
    assert (filtered - wanted).abs().max() < 1e-5  # the engine adds up in another order


def test_the_engine_filters_each_picture(restorer: Restorer) -> None:
    images, noise = photos(), torch.stack([restorer.noise(seed)[0] for seed in (0, 1)])
    seen: list[Tensor] = []

    def nothing(ipr: Tensor) -> Tensor:
        seen.append(ipr)
        return torch.zeros_like(ipr)

    filtered = engine.restore(restorer.model, images, noise, ipr_filter=nothing)
    with torch.no_grad():
        wanted = restorer.model.dirformer(images, torch.zeros(2, 32))
    assert [ipr.shape for ipr in seen] == [(1, 32), (1, 32)]
    assert (filtered - wanted).abs().max() < 1e-5  # the engine adds up in another order


def test_a_filter_that_changes_nothing_changes_no_bit(restorer: Restorer) -> None:
    plain = restorer.restore_batch(photos(), seeds=[0, 1])
    filtered = restorer.restore_batch(photos(), seeds=[0, 1], ipr_filter=lambda ipr: ipr)
    assert torch.equal(plain, filtered)


def test_whole_maps_are_filtered_alike(restorer: Restorer) -> None:
    noise = torch.stack([restorer.noise(0)[0], restorer.noise(1)[0]])
    seen: list[Tensor] = []

    def double(ipr: Tensor) -> Tensor:
        seen.append(ipr)
        return 2 * ipr

    with torch.inference_mode():
        plain = run_plainly(
            restorer.model, photos(), noise, None, torch.float32, None, ipr_filter=double
        )
    assert plain is not None
    filtered = restorer.restore_batch(photos(), seeds=[0, 1], ipr_filter=double)
    assert (plain.clamp(0, 1) - filtered).abs().max() < 1e-5  # another order of sums
    assert [ipr.shape for ipr in seen[:2]] == [(1, 32), (1, 32)]
