"""Costs are counted as the literature counts them, and measured in a process of their own."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from official import network, toy
from torch import nn

from diffir.checkpoints import Checkpoint, format
from diffir.errors import DeviceError, WeightsError
from diffir.evaluation.cost import Cost, cost, count, measured, multiply_adds, parameters
from diffir.model import DiffIRS2
from diffir.presets import PRESETS

TOY = toy("deblur")


@pytest.fixture(scope="module")
def deblur(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights file of a toy network."""
    file = tmp_path_factory.mktemp("weights") / "deblur.safetensors"
    format.save(Checkpoint(model=network(2, TOY), task="deblur"), file)
    return file


@pytest.mark.parametrize(
    ("preset", "side", "giga"),
    [("deblur", 256, 121.0), ("sr-x4", 64, 45.2), ("inpaint", 256, 50.6)],
)
def test_the_published_networks_cost_what_is_known_of_them(
    preset: str, side: int, giga: float
) -> None:
    assert count(PRESETS[preset].config, (side, side)) / 1e9 == pytest.approx(giga, abs=0.05)


def test_a_convolution_costs_one_multiply_add_a_weight_and_place() -> None:
    layer = nn.Conv2d(3, 5, 3, padding=1)
    assert multiply_adds(layer, torch.zeros(1, 3, 7, 9)) == 3 * 5 * 9 * 7 * 9
    assert parameters(layer) == 3 * 5 * 9 + 5


def test_attention_cpen_and_every_step_of_the_denoiser_count() -> None:
    with torch.device("meta"):
        model = DiffIRS2(TOY)
        lq, ipr = torch.empty(1, 3, 32, 32), torch.empty(1, TOY.ipr_dim)
        block = model.dirformer.latent[0].attention
        channels, heads = TOY.dim * 8, TOY.num_heads[3]
        inside = multiply_adds(block, torch.empty(1, channels, 4, 4))
        parts = multiply_adds(model.dirformer, lq, ipr)
        parts += multiply_adds(model.cpen, torch.empty(1, 48, 8, 8))
    denoiser = (2 * TOY.ipr_dim + 1) * TOY.ipr_dim + TOY.denoiser_layers * TOY.ipr_dim**2
    assert count(TOY, (32, 32)) == parts + TOY.timesteps * denoiser
    layers = 16 * (4 * channels**2 + 3 * channels * 9)
    assert inside == layers + 2 * 16 * channels**2 // heads  # Q Kᵀ, and its product with V


def test_pictures_are_counted_as_they_are_padded() -> None:
    assert count(TOY, (33, 26)) == count(TOY, (40, 32)) == count(TOY, (32, 40))


def test_inserted_variance_costs_nothing() -> None:
    assert count(replace(TOY, insert_variance=True), (32, 32)) == count(TOY, (32, 32))


def test_a_file_is_counted_and_measured(deblur: Path) -> None:
    found = cost(deblur, (48, 32), device="cpu")
    assert found.parameters == parameters(network(2, TOY))
    assert found.multiply_adds == count(TOY, (48, 32))
    assert found.seconds > 0
    assert found.where.startswith("cpu, ")
    if sys.platform == "linux":
        assert found.peak_memory is not None
        assert 4 * found.parameters < found.peak_memory < 1e9


def test_inpainting_and_inserted_variance_are_measured() -> None:
    config = replace(toy("inpaint"), insert_variance=True)
    assert measured("inpaint", config, (16, 16), "cpu")["seconds"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="VmHWM is Linux's")
def test_the_memory_of_the_process_that_starts_it_is_not_counted() -> None:
    ballast = torch.ones(900_000_000, dtype=torch.uint8)
    code = "from diffir.evaluation.measure import peak_of_process; print(peak_of_process())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 50e6 < int(done.stdout) < len(ballast)


def test_a_preset_needs_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"seconds": 1.0, "peak_memory": None, "where": "here"}
    monkeypatch.setattr("diffir.evaluation.cost.measured", lambda *_: known)
    found = cost("inpaint", (8, 8), device="cpu")
    assert found == Cost(
        parameters=26_402_474, multiply_adds=count(PRESETS["inpaint"].config, (8, 8)), **known
    )


def test_unknown_models_and_devices_are_explained_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffir.evaluation.cost.measured", lambda *_: pytest.fail("it measured"))
    with pytest.raises(WeightsError, match="no file and no preset 'nope'"):
        cost("nope", (8, 8))
    with pytest.raises(DeviceError, match="unknown device 'gpu'"):
        cost("deblur", (8, 8), device="gpu")


@pytest.mark.parametrize(
    ("code", "error", "sentence"),
    [
        (-9, "", r"a picture of 9×8 on cpu was stopped by signal 9"),
        (2, "cpu is full", "cpu is full"),
    ],
)
def test_lack_of_memory_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, code: int, error: str, sentence: str
) -> None:
    ended = subprocess.CompletedProcess([], code, stdout="", stderr=error)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(DeviceError, match=sentence):
        measured("deblur", TOY, (9, 8), "cpu")


def test_a_picture_that_no_memory_holds_is_a_sentence() -> None:
    with pytest.raises(
        DeviceError,
        match="a picture of 4194304×4194304 does not fit into memory; give a smaller size",
    ):
        measured("deblur", TOY, (2**22, 2**22), "cpu")
