"""Folders are restored overnight, ended in any way, begun again, and nothing is lost."""

import hashlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
from official import network, toy
from PIL import Image
from typer.testing import CliRunner, Result

from diffir.checkpoints import Checkpoint, format
from diffir.cli import main
from diffir.cli.app import app
from diffir.cli.restoring import Network, run_here

MANIFEST = Path("out/manifest.jsonl")
PICTURES = 40
KILLS = 6
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> None:
    """A working folder with a toy network, and one thread in all processes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    format.save(Checkpoint(model=network(2, toy("deblur")), task="deblur"), Path("toy.safetensors"))


def pictures(*names: str, size: int = 12) -> None:
    for index, name in enumerate(names):
        pixels = np.random.default_rng(index).integers(0, 256, (size, size, 3), np.uint8)
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(name)


def words_of(*words: str) -> list[str]:
    return ["restore", *words, "--model", "toy.safetensors", "--device", "cpu"]


def restore(*words: str) -> Result:
    """The verb in this process; whatever it did not expect is raised."""
    result = CliRunner().invoke(app, words_of(*words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(*words: str) -> str:
    """The sentence of a mistake that changes nothing."""
    before = contents(".")
    result = restore(*words)
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert contents(".") == before
    return result.output


def contents(folder: str) -> dict[str, bytes]:
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def lines() -> list[dict[str, object]]:
    return [json.loads(line) for line in MANIFEST.read_text(encoding="utf-8").splitlines()]


def test_the_second_run_makes_what_is_new_and_the_last_line_counts(here):
    pictures("in/a.png", "in/x/b.png")
    first = restore("in", "-o", "out")
    assert "2 restored, 0 skipped, 0 failed in " in first.output
    assert "pictures/s)" in first.output
    pictures("in/c.png")
    Path("in/bad.png").write_text("no picture")
    again = restore("in", "-o", "out")
    assert again.exit_code == 2
    assert "skipped (already made from the same input; --overwrite replaces it): out/a.png" in (
        again.output
    )
    assert "1 restored, 2 skipped, 1 failed in " in again.output
    assert [line["source"] for line in lines()] == ["a.png", "x/b.png", "bad.png", "c.png"]


def test_the_settings_in_the_manifest_are_those_of_the_run():
    pictures("in/a.png")
    restore("in", "-o", "out", "--seed", "7", "--precision", "bfloat16")
    (line,) = lines()
    assert line["weights"] == hashlib.sha256(Path("toy.safetensors").read_bytes()).hexdigest()
    found = [line[key] for key in ("model", "seed", "precision", "format")]
    assert found == ["toy.safetensors", 7, "bfloat16", "png"]
    restore("in", "-o", "out")
    assert [line["seed"] for line in lines()] == [7, 0]


def test_one_output_file_has_no_manifest():
    pictures("a.png")
    assert restore("a.png", "-o", "new/b.png").exit_code == 0
    assert contents("new").keys() == {"b.png"}
    assert restore("a.png", "-o", "new").exit_code == 0
    assert contents("new").keys() == {"a.png", "b.png", "manifest.jsonl"}


def test_a_dry_run_says_all_and_writes_nothing():
    pictures("in/a.png", "in/b.png")
    Path("note").write_text("")
    before = contents(".")
    told = restore("in", "-o", "out", "--dry-run")
    assert told.output == (
        "would restore: in/a.png → out/a.png\n"
        "would restore: in/b.png → out/b.png\n"
        "2 to restore, 0 to skip, 0 will fail\n"
    )
    assert contents(".") == before
    assert not Path("out").exists()
    restore("in", "-o", "out", "--include", "a*")
    Path("out/b.png").write_text("mine")
    Path("out", f".diffir-{'0' * 32}.part").touch()
    before = contents(".")
    assert restore("in", "-o", "out", "--dry-run").output == (
        "would skip (already made from the same input): out/a.png\n"
        "would skip (exists, but was not made here or has changed since): out/b.png\n"
        "0 to restore, 2 to skip, 0 will fail\n"
    )
    told = restore("in", "-o", "out", "--dry-run", "--seed", "1", "--overwrite").output
    assert "2 to restore" in told
    Path("mask.png").write_bytes(Path("in/a.png").read_bytes())
    told = restore("in", "-o", "out", "--dry-run", "--mask", "mask.png").output
    assert "0 will fail" in told
    told = restore("in", "-o", "out", "--dry-run", "--mask", "in").output
    assert "in/a.png is both picture and mask" in told


def test_patterns_choose_below_the_folder():
    pictures("in/a.png", "in/x/a.jpg", "in/x/b.png")
    restore("in", "-o", "out", "--include", "x/*", "--include", "nope", "--exclude", "*.jpg")
    assert contents("out").keys() == {"x/b.png", "manifest.jsonl"}
    assert "no picture matches --include and --exclude" in refused(
        "in", "-o", "new", "--include", "*.tif"
    )


def test_bad_folders_are_refused_in_a_sentence():
    pictures("in/a.jpg", "x/P.png", "y/p.png")
    Path("file").touch()
    assert "file is a file" in refused("in", "-o", "file")
    assert "outputs would become inputs" in refused("in", "-o", "in", "--format", "png")
    assert "would be one file" in refused("x", "y", "-o", "out")
    Path("out").mkdir()
    MANIFEST.write_text("a list of mine\n")
    assert "is not a manifest of diffir" in refused("in", "-o", "out")
    assert "is not a manifest of diffir" in refused("in", "-o", "out", "--dry-run")


def begin(*words: str) -> "subprocess.Popen[str]":
    """The verb in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "diffir", *words_of(*words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def alive(process: int) -> bool:
    """Whether a process runs, on Linux; one that ended and waits for its parent does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_until(condition, seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.002)


@posix
def test_sigterm_ends_a_run_as_ctrl_c_does():
    pictures(*(f"in/{index:03}.png" for index in range(300)))
    with begin("in", "-o", "out") as process:
        assert process.stdout.readline() == "in/000.png → out/000.png\n"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "interrupted; finished files are kept, nothing half-written is left\n"
    made = contents("out")
    assert 2 <= len(made) < 300
    assert made.keys() == {"manifest.jsonl", *(line["target"] for line in lines())}


@pytest.mark.skipif(sys.platform != "linux", reason="the processes are looked up in /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_no_process_outlives_a_run_with_workers(number, code):
    pictures("in/a.png")
    pictures("in/b.png", "in/c.png", size=1500)  # a minute of work
    with begin("in", "-o", "out", "--workers", "2") as process:
        assert process.stdout.readline() == "in/a.png → out/a.png\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) >= 2
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == code
    wait_until(lambda: not any(alive(int(child)) for child in children), 10)
    assert contents("out").keys() == {"manifest.jsonl", "a.png"}


def fork(monkeypatch, *words: str) -> BaseProcess:
    """The verb in a process of its own that need not import anything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["diffir.inference.batch", "diffir.cli.restore"])
    monkeypatch.setattr(sys, "argv", ["diffir", *words_of(*words)])
    process = context.Process(target=main)
    process.start()
    return process


@posix
def test_a_run_killed_again_and_again_makes_what_an_unbroken_one_makes(monkeypatch):
    pictures(*(f"in/{index % 3}/{index:02}.png" for index in range(PICTURES)), size=96)
    unbroken = fork(monkeypatch, "in", "-o", "whole")
    unbroken.join()
    whole = contents("whole")
    del whole["manifest.jsonl"]
    assert len(whole) == PICTURES
    chance = random.Random(0)
    for _ in range(KILLS):
        there = len(list(Path("out").rglob("*.png")))
        process = fork(monkeypatch, "in", "-o", "out")
        wanted = there + chance.randint(1, PICTURES // KILLS - 2)
        wait_until(lambda wanted=wanted: len(list(Path("out").rglob("*.png"))) >= wanted)
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -9
        made = {name: data for name, data in contents("out").items() if name.endswith(".png")}
        assert made.items() <= whole.items()
    last = fork(monkeypatch, "in", "-o", "out")
    last.join()
    assert last.exitcode == 0
    made = contents("out")
    del made["manifest.jsonl"]
    assert made == whole  # the same bits, and no stray file
    told = {line["target"]: line["target_sha256"] for line in lines()}
    assert told == {name: hashlib.sha256(data).hexdigest() for name, data in whole.items()}
    assert len(lines()) - PICTURES < KILLS


def test_pictures_larger_than_asked_for_are_refused():
    pictures("small.png")
    pictures("large.png", size=13)
    result = restore("small.png", "large.png", "-o", "out", "--max-pixels", "144")
    assert result.exit_code == 2
    assert contents("out").keys() == {"small.png", "manifest.jsonl"}
    assert "large.png" in result.output


def test_workers_share_the_memory_that_is_free(monkeypatch):
    budgets = []

    def build(_self, budget):
        budgets.append(budget)
        return lambda **_: None

    monkeypatch.setattr("diffir.inference.engine.default_budget", lambda _device: 9_000_000)
    monkeypatch.setattr(Network, "build", build)
    network = Network(
        model="toy.safetensors",
        backend=None,
        device="cpu",
        precision="float32",
        budget=None,
        ensemble=False,
        detail=0.0,
        has_mask=False,
    )
    run_here(network, 3)
    run_here(replace(network, budget=7_000_000), 3)
    assert budgets == [3_000_000, 7_000_000]


def test_a_task_and_a_model_are_not_given_together():
    pictures("a.png")
    result = CliRunner().invoke(
        app, ["restore", "a.png", "-o", "b.png", "--task", "sr", "--model", "toy.safetensors"]
    )
    assert result.exit_code == 2
    assert "task sr and model toy.safetensors found; give one of them" in result.output


def test_an_ensemble_is_another_result_and_is_told_in_the_manifest():
    pictures("in/a.png")
    assert restore("in", "-o", "out").exit_code == 0
    before = contents("out")["a.png"]
    assert "1 restored" not in restore("in", "-o", "out").output
    restore("in", "-o", "out", "--ensemble")
    assert contents("out")["a.png"] != before
    assert [line["ensemble"] for line in lines()] == [False, True]


def test_detail_is_another_result_and_is_told_in_the_manifest():
    pictures("in/a.png")
    told = refused("in", "-o", "out", "--detail", "0.5")
    assert "toy-detail.safetensors found for more detail" in told
    crisp = Checkpoint(model=network(2, toy("deblur"), seed=1), task="deblur")
    format.save(crisp, Path("toy-detail.safetensors"))
    assert restore("in", "-o", "out").exit_code == 0
    before = contents("out")["a.png"]
    restore("in", "-o", "out", "--detail", "0.5")
    assert contents("out")["a.png"] != before
    assert [line["detail"] for line in lines()] == [0.0, 0.5]


@pytest.mark.parametrize("name", ["clip.mp4", "CLIP.MKV"])
def test_a_video_is_pointed_to_its_own_verb(name):
    Path(name).write_bytes(b"")
    result = restore(name, "-o", "out.png")
    assert result.exit_code == 2
    assert f"{name} is a video; use `diffir video {name} -o OUT`" in result.output
