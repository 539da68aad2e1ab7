"""The network over a batch: stripes or whole maps, whichever is faster, and stripes at need."""

import logging
from threading import Event

import pytest
import torch
from official import network, toy

from diffir.errors import DeviceError, StoppedError
from diffir.inference import network as networks
from diffir.inference.network import level_one_numbers, run_network, run_plainly


@pytest.fixture(scope="module")
def model():
    return network(2, toy("deblur", num_blocks=(1, 1, 1, 1), insert_variance=True))


def inputs(model):
    generator = torch.Generator().manual_seed(0)
    draws = 1 + model.config.timesteps
    lq = torch.rand(2, 3, 24, 40, generator=generator)
    return lq, torch.randn(draws, 2, model.config.ipr_dim, generator=generator)


@pytest.fixture
def whole_maps_are_faster(stripes_at_any_size, monkeypatch):
    monkeypatch.setattr(networks, "prefers_stripes", lambda _device: False)


def test_stripes_give_what_whole_maps_give(model, whole_maps_are_faster, monkeypatch):
    lq, noise = inputs(model)
    with torch.inference_mode():
        whole = run_network(model, lq, noise)
        torch.testing.assert_close(whole, model(lq, noise[0], noise[1:]))
        monkeypatch.setattr(networks, "prefers_stripes", lambda _device: True)
        striped = run_network(model, lq, noise)
    assert (striped != whole).any()  # another way, rounded otherwise
    torch.testing.assert_close(striped, whole, atol=1e-5, rtol=0)


def test_where_whole_maps_do_not_fit_stripes_take_over(
    model, whole_maps_are_faster, monkeypatch, caplog
):
    lq, noise = inputs(model)
    expected = run_network(model, lq, noise, budget=10**9)

    def allocate(*_args):
        return torch.empty(2**50)

    monkeypatch.setattr(model.dirformer, "forward", allocate)
    with caplog.at_level(logging.INFO, "diffir"):
        torch.testing.assert_close(run_network(model, lq, noise), expected, atol=0, rtol=0)
    assert "continuing in stripes" in caplog.text
    assert "2 pictures of 40×24" in caplog.text


def test_a_bug_is_not_taken_for_lack_of_memory(model, whole_maps_are_faster, monkeypatch):
    def fail(*_args):
        raise RuntimeError("a bug")

    monkeypatch.setattr(model.dirformer, "forward", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        run_network(model, *inputs(model))


def test_a_budget_asks_for_stripes(model, whole_maps_are_faster, monkeypatch):
    monkeypatch.setattr(model.dirformer, "forward", None)
    assert run_network(model, *inputs(model), budget=10**9).isfinite().all()


def test_whole_maps_are_not_begun_once_the_caller_stopped(model):
    stop = Event()
    stop.set()
    lq, noise = inputs(model)
    with pytest.raises(StoppedError, match="before the picture was started"):
        run_plainly(model, lq, noise[0], noise[1:], torch.float32, stop)


@pytest.fixture
def passes(model, monkeypatch):
    """How many pictures went through the plain network together, pass after pass."""
    seen, forward = [], model.dirformer.forward

    def count(lq, ipr):
        seen.append(len(lq))
        return forward(lq, ipr)

    monkeypatch.setattr(model.dirformer, "forward", count)
    return seen


def test_small_pictures_go_through_in_whole_maps_several_at_once(model, passes, monkeypatch):
    lq, noise = (torch.cat([part, part[:, :1]], dim=1) for part in inputs(model))
    lq = torch.cat([lq[:2, :3], lq[:1, :3]])
    monkeypatch.setattr(networks, "TOGETHER", 2 * level_one_numbers(model.config, *lq.shape[2:]))
    told = []
    with torch.inference_mode():
        restored = run_network(model, lq, noise, dtype=torch.bfloat16, progress=told.append)
        assert passes == [2, 1]
        expected = model(lq, noise[0], noise[1:])
    # Other kernels for other batches, but nothing as coarse as bfloat16
    torch.testing.assert_close(restored, expected, atol=1e-5, rtol=0)
    assert told == [2 / 3, 1]


def test_the_size_alone_says_what_is_small_and_no_budget(model, passes, monkeypatch):
    lq, noise = inputs(model)
    one = level_one_numbers(model.config, *lq.shape[2:])
    monkeypatch.setattr(networks, "SMALL", one)
    assert torch.equal(run_network(model, lq, noise, budget=10**9), run_network(model, lq, noise))
    assert passes == [2, 2]
    monkeypatch.setattr(networks, "SMALL", one - 1)
    run_network(model, lq, noise)
    assert passes == [2, 2]
    with pytest.raises(DeviceError, match="needs"):
        run_network(model, lq, noise, budget=10**6)
