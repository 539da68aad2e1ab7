"""Runs as their folders tell of them, whatever else lies there."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from diffir import recipe
from diffir.training.runs import PHASES, RunSummary, find_runs, losses_of, read_log

STEPS = {"stage1": 100, "prior": 50, "joint": 200, "finetune": None}


def run_of(folder: Path, *lines: dict[str, Any], steps: dict[str, int | None] = STEPS) -> Path:
    """A run's folder with a log."""
    folder.mkdir(parents=True, exist_ok=True)
    phases = {name: count and {"steps": count} for name, count in steps.items()}
    facts = {"recipe": {"seed": 0, **phases}, "name": "toy", "version": "1", "config": {}}
    (folder / "run.json").write_text(json.dumps(facts))
    if lines:
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def report(phase: str, step: int, **values: Any) -> dict[str, Any]:
    return {"phase": phase, "step": step, **values}


def only(folder: Path) -> RunSummary:
    (run,) = find_runs(folder)
    return run


def test_a_run_tells_its_phase_share_and_last_scores(tmp_path: Path) -> None:
    facts = {"rate": 1e-3, "seconds": 0.1, "memory": 1.0, "gradient": 2.0, "accuracy": 0.5}
    run_of(
        tmp_path,
        report("stage1", 100, pixel_l1=0.5, **facts),
        report("joint", 25, pixel_l1=0.3, ipr_l1=0.2, **facts),
        report("joint", 25, psnr=30.0, **{"psnr/a": 29.0, "ipr/distance_1": 0.1}),
        report("joint", 50, pixel_l1=0.25, ipr_l1=None, **facts),
        report("joint", 50, ssim=0.9, fid=None),
    )
    run = only(tmp_path)
    assert (run.folder, run.name) == (tmp_path, "toy")
    assert (run.phase, run.step, run.steps) == ("joint", 50, 200)
    assert run.share == (100 + 50 + 50) / 350
    assert run.scores == {"psnr": 30.0, "psnr/a": 29.0}
    assert not run.finished


def test_scores_are_of_the_phase_under_way(tmp_path: Path) -> None:
    first = report("stage1", 100, rate=1e-3, pixel_l1=0.5, psnr=40.0)
    run_of(tmp_path, first, report("prior", 1, rate=1e-3, ipr_l1=1.0))
    assert only(tmp_path).scores == {}


def test_a_run_with_its_weights_is_finished(tmp_path: Path) -> None:
    run_of(tmp_path, report("joint", 199))
    (tmp_path / "toy-stage1.safetensors").touch()
    assert not only(tmp_path).finished
    assert only(tmp_path).share < 1
    (tmp_path / "toy.safetensors").touch()
    assert (only(tmp_path).finished, only(tmp_path).share) == (True, 1.0)


def test_a_run_without_a_log_has_not_begun(tmp_path: Path) -> None:
    run = only(run_of(tmp_path, steps={"stage1": None, "prior": 50, "joint": 200}))
    assert (run.phase, run.step, run.steps, run.share) == (None, 0, 50, 0.0)
    assert (run.scores, run.finished) == ({}, False)


def test_the_phases_are_told_in_their_order_whatever_that_of_the_file(tmp_path: Path) -> None:
    turned = dict(reversed(STEPS.items()))
    run_of(tmp_path, report("prior", 25), steps=turned)
    assert only(tmp_path).share == 125 / 350
    assert PHASES == recipe.PHASES


def test_changed_is_when_it_last_told_something(tmp_path: Path) -> None:
    run_of(tmp_path, report("prior", 25))
    for age, name in ((300, "run.json"), (200, "log.jsonl")):
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert only(tmp_path).changed == 800


def test_runs_are_found_three_folders_down(tmp_path: Path) -> None:
    for place in ("", "b", "a", "a/b/c", "a/b/c/d"):
        run_of(tmp_path / place)
    (tmp_path / "round").symlink_to(tmp_path, target_is_directory=True)
    found = [str(run.folder.relative_to(tmp_path)) for run in find_runs(tmp_path)]
    assert found == [".", "a", "a/b/c", "b"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"7",
        b'{"name": "toy"',
        b'{"name": "toy"}',
        b'{"name": "toy", "recipe": 1}',
        b'{"name": "toy", "recipe": {"stage1": 3}}',
        b'{"name": "toy", "recipe": {"stage1": {"steps": []}}}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
)
def test_what_is_no_run_is_passed_over(text: bytes, tmp_path: Path) -> None:
    run_of(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_bytes(text)
    assert [run.folder.name for run in find_runs(tmp_path)] == ["good"]


def test_a_log_gives_the_lines_that_are_whole_and_of_a_run(tmp_path: Path) -> None:
    good = [report("stage1", 1, loss=0.5), report("stage1", 2, loss=None)]
    others = [
        b"[1]",
        b'{"phase": "stage1"}',
        b'{"phase": 1, "step": 1}',
        b"\xff",
        b"",
        b"[" * 99999,
    ]
    whole = b"\n".join([json.dumps(good[0]).encode(), *others, json.dumps(good[1]).encode()])
    path = tmp_path / "log.jsonl"
    path.write_bytes(whole + b'\n{"phase": "stage1", "st')
    assert read_log(path) == good
    assert read_log(tmp_path / "none.jsonl") == []


def test_values_of_other_kinds_in_a_log_are_no_losses(tmp_path: Path) -> None:
    (run_of(tmp_path) / "log.jsonl").write_text(
        '{"phase": "stage1", "step": 1, "rate": 1, "a": NaN, "b": "x", "c": true, "d": 2}\n'
        '{"phase": "warm-up", "step": 9, "rate": 1}\n'
    )
    (line, _) = read_log(tmp_path / "log.jsonl")
    assert losses_of(line) == {"d": 2.0}
    assert only(tmp_path).phase == "stage1"


def test_looking_at_runs_takes_no_torch() -> None:
    code = "import sys, diffir.training.runs, diffir.cli.runs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
