"""Several processes: each has a device of its own, and all together give the rows of one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from official import network, toy
from PIL import Image
from skimage import data

from diffir.checkpoints import Checkpoint, format
from diffir.evaluation import evaluate
from diffir.evaluation.planning import plan_evaluation

PHOTO = np.ascontiguousarray(data.astronaut()[60:160, 170:270])


def test_gpus_are_dealt_out_in_turn_but_a_named_device_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert evaluate.devices_of("auto", 4) == ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]
    assert evaluate.devices_of("cuda", 2) == ["cuda:0", "cuda:1"]
    assert evaluate.devices_of("cuda:1", 2) == ["cuda:1", "cuda:1"]
    assert evaluate.devices_of("cpu", 2) == ["cpu", "cpu"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert evaluate.devices_of("auto", 2) == ["auto", "auto"]


@pytest.mark.parametrize(("device", "jobs"), [("auto", 3), ("cuda", 3), ("cuda:1", 1), ("cpu", 1)])
def test_there_are_as_many_processes_as_gpus_that_may_be_taken(
    monkeypatch: pytest.MonkeyPatch, device: str, jobs: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert evaluate.jobs_for(device) == jobs
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert evaluate.jobs_for(device) == 1


def test_each_process_takes_a_device_and_the_rows_are_those_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))  # processes inherit it
    from meeting import Meeting

    model = tmp_path / "sr.safetensors"
    format.save(Checkpoint(model=network(2, toy("sr-x2")), task="sr"), model)
    for folder in ("photos", "met"):
        (tmp_path / folder).mkdir()
    for index in range(4):
        photo = PHOTO[: 70 + 2 * index]
        Image.fromarray(photo).save(tmp_path / "photos" / f"{index}.png")
    plan, _ = plan_evaluation([str(model)], str(tmp_path / "photos"), device="cpu", baselines=True)
    monkeypatch.setattr(evaluate, "devices_of", lambda device, jobs: ["cpu", "cpu:0"][:jobs])
    meeting = replace(plan, degradation=Meeting(tmp_path / "met", 2))
    two = [row for judged in evaluate.evaluate(meeting, jobs=2) for row in judged.rows]
    assert sorted(path.read_text() for path in (tmp_path / "met").iterdir()) == ["cpu", "cpu:0"]
    assert not any(row.error for row in two)

    alone = replace(meeting, degradation=Meeting(tmp_path / "met", 0))
    one = [row for judged in evaluate.evaluate(alone) for row in judged.rows]
    assert [(r.picture, r.method, r.scores) for r in one] == [
        (r.picture, r.method, r.scores) for r in two
    ]
