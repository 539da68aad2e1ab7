"""Saved states: one whole one always exists, whatever happens to the disk."""

import logging
from pathlib import Path

import pytest
import torch

from diffir.errors import WeightsError
from diffir.presets import RECIPES, choose
from diffir.training.state import States
from trainer import train_in

CPU = torch.device("cpu")


def saved(folder: Path, *steps: int, phase: str = "joint") -> States:
    states = States(folder, phase)
    for step in steps:
        states.save({"step": step, "weight": torch.full((1000,), float(step))}, step)
    return states


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_the_newest_state_comes_back_and_none_is_none(tmp_path: Path) -> None:
    assert States(tmp_path, "joint").newest(CPU) is None
    states = saved(tmp_path, 2, 10, 9)
    assert states.steps() == [2, 9, 10]
    newest = states.newest(CPU)
    assert newest is not None
    assert newest["step"] == 10
    assert torch.equal(newest["weight"], torch.full((1000,), 10.0))


def test_states_of_other_phases_and_other_processes_are_no_states_of_a_phase(
    tmp_path: Path,
) -> None:
    saved(tmp_path, 5, phase="prior")
    states = saved(tmp_path, 3)
    states.save({"step": 4}, 4, rank=1)
    states.rotate()
    assert states.steps() == [3]
    assert States(tmp_path, "prior").steps() == [5]


def test_only_the_newest_stay_with_all_that_processes_hold(tmp_path: Path) -> None:
    states = States(tmp_path, "joint")
    for step in (2, 4, 6):
        for rank in (1, 0):
            states.save({"step": step, "rank": rank}, step, rank)
        states.rotate()
    found = {path.name for path in (tmp_path / "states").iterdir()}
    assert found == {f"joint-0000000{step}{of}.pt" for step in (4, 6) for of in ("", ".rank1")}
    assert states.of_rank(6, 1, CPU) == {"step": 6, "rank": 1}
    assert states.steps() == [4, 6]


def test_where_the_newest_is_broken_the_one_before_is_taken_and_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    states = saved(tmp_path, 2, 4)
    truncate(states.path(4))
    with caplog.at_level(logging.WARNING):
        newest = states.newest(CPU)
    assert newest is not None
    assert newest["step"] == 2
    (message,) = caplog.messages
    assert "joint-00000004.pt is not a training state" in message
    assert message.endswith("resuming from an older one")


def test_where_all_are_broken_it_is_a_sentence(tmp_path: Path) -> None:
    states = saved(tmp_path, 2, 4)
    truncate(states.path(4))
    states.path(2).write_bytes(b"")
    with pytest.raises(WeightsError, match=r"joint-00000002\.pt is not a training state .*remove"):
        states.newest(CPU)


def test_a_full_disk_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    states = saved(tmp_path, 2)
    before = states.path(2).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("diffir.files.os.fsync", full)
        for step in (2, 4):
            with pytest.raises(OSError, match="No space left"):
                saved(tmp_path, step)
    assert [path.name for path in (tmp_path / "states").iterdir()] == ["joint-00000002.pt"]
    assert states.path(2).read_bytes() == before


def test_a_broken_state_of_a_phase_that_is_done_costs_no_more_than_its_last_steps(
    tmp_path: Path,
) -> None:
    settings = ("stage1.steps=4", "stage1.batch_size=1", "joint.steps=2", "joint.batch_size=1")
    preset = choose(RECIPES, "toy-sr", (*settings, "prior=null", "finetune=null"))
    file = train_in(tmp_path, preset, "dead-leaves")
    before, states = file.read_bytes(), States(tmp_path, "stage1")
    assert states.steps() == [2, 4]
    truncate(states.path(4))
    assert train_in(tmp_path, preset, "dead-leaves").read_bytes() == before
    newest = states.newest(CPU)
    assert newest is not None
    assert newest["step"] == 4
