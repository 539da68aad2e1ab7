"""Processes that share a batch, and parts of one, learn what one process learns from it whole."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor
from torch.nn.utils.parametrizations import _SpectralNorm

from diffir.presets import RECIPES, choose
from diffir.training.build import train
from diffir.training.fabric import opened_fabric
from diffir.training.learner import Learner
from diffir.training.order import Order
from diffir.training.run import Run

SETTINGS = {
    "toy-sr": (
        *(f"{phase}.steps=4" for phase in ("stage1", "prior", "joint", "finetune")),
        "finetune.adversary.warmup_steps=1",
    ),
    "toy-inpaint": ("stage1.steps=4", "joint.steps=4"),
}
DIFFIR = ("-m", "diffir")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *DIFFIR)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name, pixels in {"a": data.astronaut()[:48, 150:214], "b": data.coffee()[:48, :64]}.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def trained(name: str, folder: Path, photos: Path, **options: Any) -> dict[str, Tensor]:
    run = Run(folder=folder, fabric=opened_fabric(torch.device("cpu")), **options)
    preset = choose(RECIPES, name, SETTINGS[name])
    train(Order(preset=preset, data=(str(photos),), folder=folder), run)
    return weights_in(folder)


def started(words: tuple[str, ...], name: str, folder: Path, photos: Path) -> dict[str, Tensor]:
    """As `trained`, from the command line."""
    done = run_of(words, name, SETTINGS[name], folder, photos)
    assert done.stdout.count("trained weights") == 1
    return weights_in(folder)


def run_of(
    words: tuple[str, ...], name: str, changes: Sequence[str], folder: Path, photos: Path
) -> "subprocess.CompletedProcess[str]":
    """Two processes that train to the end."""
    settings = [word for change in changes for word in ("--set", change)]
    command = [
        *(sys.executable, *words, "train", name, "--data", photos, "-o", folder, *settings),
        *("--device", "cpu", "--threads", "1"),
    ]
    if words == DIFFIR:
        command += ["--devices", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def weights_in(folder: Path) -> dict[str, Tensor]:
    """Networks, averages and discriminators as the phases left them."""
    found = {}
    for path in (folder / "states").glob("*-00000004.pt"):
        state = torch.load(path, weights_only=True)
        for what in {"model", "average", "opponent_model"} & state.keys():
            found |= {f"{path.stem} {what} {name}": x for name, x in state[what].items()}
    return found


def require_close(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():  # 1e-5: other order of sums, four steps of Adam
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-5, msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> dict[str, dict[str, Tensor]]:
    """The weights of one process that sees whole batches, by recipe."""
    return {name: trained(name, tmp_path_factory.mktemp(name), photos) for name in SETTINGS}


def test_two_processes_learn_what_one_learns_in_each_phase(
    tmp_path: Path, photos: Path, alone: dict[str, dict[str, Tensor]]
) -> None:
    shared = started(DIFFIR, "toy-sr", tmp_path, photos)
    assert {name.split("-")[0] for name in shared} == {"stage1", "prior", "joint", "finetune"}
    require_close(shared, alone["toy-sr"])


def test_what_any_process_skipped_is_counted(
    tmp_path: Path, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    some, changes = tmp_path / "photos", ("stage1.steps=3", "prior=null", "joint=null")
    some.mkdir()
    whole = (photos / "a.png").read_bytes()
    for number in range(20):
        cut = len(whole) // 2 if number % 2 else None
        (some / f"{number}.png").write_bytes(whole[:cut])
    changes = (*changes, "finetune=null")
    run = Run(folder=tmp_path / "alone", fabric=opened_fabric(torch.device("cpu")))
    preset = choose(RECIPES, "toy-sr", changes)
    train(Order(preset=preset, data=(str(some),), folder=run.folder), run)
    (count, *_) = caplog.messages[-1].split(": ")
    assert count.endswith(" skipped")
    assert count in run_of(DIFFIR, "toy-sr", changes, tmp_path / "both", some).stderr


def test_torchrun_starts_the_processes_too_and_batch_norm_and_masks_are_those_of_the_whole_batch(
    tmp_path: Path, photos: Path, alone: dict[str, dict[str, Tensor]]
) -> None:
    shared = started(TORCHRUN, "toy-inpaint", tmp_path, photos)
    assert sum("running_mean" in name for name in shared) == 2 * 4
    require_close(shared, alone["toy-inpaint"])


def test_a_batch_in_parts_teaches_what_it_teaches_as_a_whole(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = _SpectralNorm._power_method

    def once(norm: _SpectralNorm, weight: Tensor, iterations: int) -> None:
        if iterations > 1:  # at first; later ones come with each look, and parts are more looks
            settle(norm, weight, iterations)

    forward, pictures = Learner.forward, set[int]()

    def watched(learner: Learner, part: tuple[Any, ...]) -> Any:
        pictures.add(len(part[0].gt))
        return forward(learner, part)

    monkeypatch.setattr(_SpectralNorm, "_power_method", once)
    whole = trained("toy-sr", tmp_path / "whole", photos)
    monkeypatch.setattr(Learner, "forward", watched)
    require_close(trained("toy-sr", tmp_path / "parts", photos, accumulate=2), whole)
    assert pictures == {2}
