"""What a run tells: a log, TensorBoard and pictures that a kill and a resumption leave true."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from diffir.errors import MissingLibraryError
from diffir.training.log import RunLog

GRAY = torch.full((3, 4, 6), 0.5)


def told(folder: Path) -> list[tuple[str, int, float]]:
    """Phase, step and loss of each line of the log; fails where one is not strict JSON."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    texts = (folder / "log.jsonl").read_text().splitlines()
    lines = [json.loads(text, parse_constant=refuse) for text in texts]
    return [(line["phase"], line["step"], line["loss"]) for line in lines]


def board(folder: Path, phase: str) -> EventAccumulator:
    return EventAccumulator(str(folder / "tensorboard" / phase)).Reload()


def shown(folder: Path, phase: str) -> list[tuple[int, float]]:
    """Step and loss as TensorBoard shows them."""
    return [(event.step, event.value) for event in board(folder, phase).Scalars("loss")]


def killed_run(folder: Path, **steps: int) -> None:
    """A run that told of so many steps of each phase and was never closed."""
    log = RunLog(folder)
    for phase, count in steps.items():
        for step in range(1, count + 1):
            log.scalars(phase, step, {"loss": 1.0})
    # TensorBoard goes by the second in the files' names, and a test is quicker than that.
    for file in [*folder.glob("tensorboard/*/events.*")]:
        file.rename(file.with_name("events.out.tfevents.0000000001.old"))


def test_a_report_is_a_line_of_the_log_and_a_point_in_tensorboard(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.scalars("stage1", 50, {"loss": 0.25, "rate": np.float32(0.5)})
    log.scalars("prior", 50, {"loss": 0.5})
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"phase": "stage1", "step": 50, "loss": 0.25, "rate": 0.5},
        {"phase": "prior", "step": 50, "loss": 0.5},
    ]
    assert (shown(tmp_path, "stage1"), shown(tmp_path, "prior")) == ([(50, 0.25)], [(50, 0.5)])
    log.close()


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for value in (float("nan"), float("inf"), -float("inf"), 1.0):
        log.scalars("stage1", 1, {"loss": value})
    log.rewind("prior", 0)  # reads and writes the nulls once more
    log.close()
    assert [loss for _, _, loss in told(tmp_path)] == [None, None, None, 1.0]


def test_a_resumed_run_tells_of_each_step_once(tmp_path: Path) -> None:
    killed_run(tmp_path, stage1=5)
    log = RunLog(tmp_path)
    log.rewind("stage1", 3)
    for step in (4, 5, 6):
        log.scalars("stage1", step, {"loss": 2.0})
    log.close()
    losses = [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    assert told(tmp_path) == [("stage1", 1 + i, loss) for i, loss in enumerate(losses)]
    assert shown(tmp_path, "stage1") == [(1 + i, loss) for i, loss in enumerate(losses)]


def test_rewinding_leaves_the_phases_before_and_forgets_those_after(tmp_path: Path) -> None:
    killed_run(tmp_path, stage1=2, prior=2, joint=2)
    log = RunLog(tmp_path)
    log.rewind("prior", 1)
    assert [line[:2] for line in told(tmp_path)] == [("stage1", 1), ("stage1", 2), ("prior", 1)]
    log.scalars("joint", 2, {"loss": 2.0})
    log.close()
    assert shown(tmp_path, "stage1") == [(1, 1.0), (2, 1.0)]
    assert shown(tmp_path, "joint") == [(2, 2.0)]


def test_a_phase_that_begins_anew_forgets_also_its_step_0(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for step in (0, 1):
        log.scalars("stage1", step, {"loss": 1.0})
    log.rewind("stage1", 0)
    log.close()
    assert told(tmp_path) == []


def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path: Path) -> None:
    killed_run(tmp_path, stage1=2)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"phase": "stage1", "step": 3, "lo')
    log = RunLog(tmp_path)
    log.rewind("stage1", 2)
    log.scalars("stage1", 3, {"loss": 2.0})
    log.close()
    assert told(tmp_path) == [("stage1", 1, 1.0), ("stage1", 2, 1.0), ("stage1", 3, 2.0)]


def test_a_run_that_begins_has_nothing_to_forget(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.rewind("stage1", 0)
    log.close()
    assert [*tmp_path.iterdir()] == []


def test_a_kill_right_after_a_report_loses_nothing_of_it(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys\n"
        "from diffir.training.log import RunLog\n"
        "log = RunLog(pathlib.Path(sys.argv[1]))\n"
        "log.scalars('stage1', 1, {f'loss_{i}': 1.0 for i in range(9)} | {'loss': 2.0})\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert told(tmp_path) == [("stage1", 1, 2.0)]
    assert shown(tmp_path, "stage1") == [(1, 2.0)]


def test_a_picture_is_a_file_and_in_tensorboard(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    picture = torch.zeros(3, 4, 6, dtype=torch.bfloat16, requires_grad=True)
    log.picture("joint", 10, "val/a", picture + torch.tensor([0.2, 1.5, -1.0])[:, None, None])
    log.close()
    pixels = np.asarray(Image.open(tmp_path / "pictures" / "joint-10-val_a.png"))
    assert pixels.shape == (4, 6, 3)
    assert pixels[0, 0].tolist() == [51, 255, 0]
    (image,) = board(tmp_path, "joint").Images("val/a")
    assert (image.step, image.height, image.width) == (10, 4, 6)


def test_the_newest_3_pictures_of_each_name_stay(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for step in (8, 9, 10, 11):
        log.picture("joint", step, "a", GRAY)
    log.picture("joint", 8, "b-a", GRAY)
    log.picture("prior", 8, "a", GRAY)
    log.close()
    names = {file.name for file in (tmp_path / "pictures").iterdir()}
    newest = {f"joint-{step}-a.png" for step in (9, 10, 11)}
    assert names == {*newest, "joint-8-b-a.png", "prior-8-a.png"}


def test_pictures_that_a_killed_run_was_ahead_with_do_not_push_out_new_ones(
    tmp_path: Path,
) -> None:
    log = RunLog(tmp_path)
    for step in (2, 4, 6, 8):
        log.picture("prior", step, "a", GRAY)
    log.picture("joint", 2, "a", GRAY)
    log.rewind("prior", 4)
    log.picture("prior", 5, "a", GRAY)
    log.close()
    names = {file.name for file in (tmp_path / "pictures").iterdir()}
    assert names == {"prior-4-a.png", "prior-5-a.png"}


def test_without_tensorboard_the_message_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        MissingLibraryError, match=r"not installed; run pip install 'diffir\[train\]'"
    ):
        RunLog(tmp_path)
