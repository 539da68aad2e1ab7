"""The network over a batch: stripes or whole maps, whichever is faster, and stripes at need."""

import logging
from threading import Event

import pytest
import torch
from official import network, toy

from diffir.errors import StoppedError
from diffir.inference import network as networks
from diffir.inference.network import run_network, run_plainly


@pytest.fixture(scope="module")
def model():
    return network(2, toy("deblur", num_blocks=(1, 1, 1, 1), insert_variance=True))


def inputs(model):
    generator = torch.Generator().manual_seed(0)
    draws = 1 + model.config.timesteps
    lq = torch.rand(2, 3, 24, 40, generator=generator)
    return lq, torch.randn(draws, 2, model.config.ipr_dim, generator=generator)


@pytest.fixture
def whole_maps_are_faster(monkeypatch):
    monkeypatch.setattr(networks, "prefers_stripes", lambda _device: False)


def test_stripes_give_what_whole_maps_give(model, whole_maps_are_faster, monkeypatch):
    lq, noise = inputs(model)
    with torch.inference_mode():
        whole = run_network(model, lq, noise)
        torch.testing.assert_close(whole, model(lq, noise[0], noise[1:]))
        monkeypatch.undo()
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
    assert "going on in stripes" in caplog.text
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
    with pytest.raises(StoppedError, match="before the picture was begun"):
        run_plainly(model, lq, noise[0], noise[1:], torch.float32, stop)
