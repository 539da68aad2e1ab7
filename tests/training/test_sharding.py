"""Processes that hold a share each learn what one learns that holds all; states fit both."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor
from typer.testing import CliRunner

from diffir.cli.app import app
from diffir.errors import DeviceError, StoppedError
from diffir.presets import RECIPES, choose
from diffir.training.build import train
from diffir.training.fabric import opened_fabric
from diffir.training.order import Order
from diffir.training.run import Run

PHASES = ("stage1", "prior", "joint", "finetune")
SMALL = ("batch_size=2", "lq_size=8", "steps=4", "warmup_steps=1")
SETTINGS = (
    *(f"{phase}.{setting}" for phase in PHASES for setting in SMALL),
    "finetune.adversary.warmup_steps=1",
)
SHARES = Path(__file__).with_name("shares.py")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, pixels in {"a": data.astronaut()[:48, 150:214], "b": data.coffee()[:48, :64]}.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def trained(folder: Path, photos: Path, stop: Event) -> dict[str, Tensor]:
    """The weights of one process."""
    run = Run(folder=folder, fabric=opened_fabric(torch.device("cpu")), stop=stop)
    order = Order(preset=choose(RECIPES, "toy-sr", SETTINGS), data=(str(photos),), folder=folder)
    train(order, run)
    return weights_in(folder)


def started(folder: Path, photos: Path) -> subprocess.Popen[str]:
    """Two processes that share all, save often and validate; they are a group of their own."""
    command = [
        *(sys.executable, "-m", "diffir", "train", "toy-sr", "--data", photos, "-o", folder),
        *(word for setting in SETTINGS for word in ("--set", setting)),
        *("--val", photos, "--val-every", "4", "--save-every", "2", "--threads", "1"),
        *("--device", "cpu", "--devices", "2", "--shard"),
    ]
    piped = subprocess.PIPE
    return subprocess.Popen(command, stdout=piped, stderr=piped, text=True, start_new_session=True)


def kill(processes: subprocess.Popen[str], at: Path) -> None:
    """End two processes at once, as soon as a state is there."""
    while not at.exists():
        assert processes.poll() is None, processes.communicate()
        time.sleep(0.01)
    os.killpg(processes.pid, signal.SIGKILL)
    processes.communicate()


def weights_in(folder: Path) -> dict[str, Tensor]:
    """What the phases left: networks, averages, moments and discriminators."""
    found = {}
    for path in (folder / "states").glob("*-00000004.pt"):
        state = torch.load(path, weights_only=True)
        for what in {"model", "average", "opponent_model"} & state.keys():
            found |= {f"{path.stem} {what} {name}": x for name, x in state[what].items()}
        for number, moments in state["optimizer"]["state"].items():
            found |= {f"{path.stem} {number} {name}": x for name, x in moments.items()}
    return found


def require_close(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-5, msg=name)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="processes are killed as Unix does it")
def test_a_run_goes_on_with_shares_and_without_and_learns_what_one_process_learns(
    tmp_path: Path, photos: Path
) -> None:
    alone = trained(tmp_path / "alone", photos, Event())
    run, copy, asked = tmp_path / "run", tmp_path / "copy", Event()
    asked.set()
    with pytest.raises(StoppedError, match="step 1 of stage1"):
        trained(run, photos, asked)
    kill(started(run, photos), at=run / "states" / "joint-00000002.pt")
    shutil.copytree(run, copy)
    require_close(trained(copy, photos, Event()), alone)
    processes = started(run, photos)
    out, errors = processes.communicate()
    assert processes.returncode == 0, errors
    assert out.count("trained weights") == 1
    require_close(weights_in(run), alone)
    assert {path.name for path in run.glob("toy-sr-*-best.safetensors")} == {
        f"toy-sr-{phase}-best.safetensors" for phase in PHASES
    }


def test_each_process_holds_its_share_of_weights_moments_and_average() -> None:
    command = [sys.executable, SHARES, "2", "toy-sr"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    whole = first["whole"]
    for what, copies in {"parameters": 1, "moments": 2, "average": 1}.items():
        assert first[what] + second[what] == copies * whole
        assert first[what] == pytest.approx(second[what], rel=0.01)


def test_one_process_has_nobody_to_share_with() -> None:
    with pytest.raises(DeviceError, match="--shard found with one process; use several"):
        opened_fabric(torch.device("cpu"), shard=True)


def test_shares_are_not_compiled(tmp_path: Path) -> None:
    words = ["train", "toy-sr", "--data", "dead-leaves", "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*words, "--devices", "2", "--shard", "--compile"])
    assert result.exit_code
    assert "--shard and --compile do not work together" in result.output
