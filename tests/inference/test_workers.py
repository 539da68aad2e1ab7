"""Several processes make what one makes; one that is killed costs its file and no more."""

import multiprocessing
import os
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from official import network, toy
from PIL import Image

from diffir.checkpoints import Checkpoint, format
from diffir.errors import DeviceError, WeightsError
from diffir.inference import Restorer, workers
from diffir.inference.batch import Encoded, restore_files
from diffir.inference.jobs import plan
from diffir.inference.manifest import NAME, Settings, open_manifest
from diffir.inference.workers import restore_in_processes, threads_for

BUILD = partial(Restorer.from_pretrained, "toy.safetensors", device="cpu")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> None:
    """Six pictures, one of them broken, and a network; one thread in all processes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    format.save(Checkpoint(model=network(2, toy("deblur")), task="deblur"), Path("toy.safetensors"))
    Path("in").mkdir()
    for index in range(5):
        pixels = np.random.default_rng(index).integers(0, 256, (9, 8 + index, 3), np.uint8)
        Image.fromarray(pixels).save(f"in/{index}.png")
    Path("in/bad.png").write_text("no picture")


def contents(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.png")}


def no_process_is_left() -> bool:
    return not multiprocessing.active_children()


def test_processes_make_the_files_and_lines_that_one_makes():
    list(restore_files(BUILD(), plan([Path("in")], Path("one")), seed=5))
    jobs = plan([Path("in")], Path("two"))
    done = []
    settings = Settings(model="toy", weights="ab" * 32, seed=5)
    with open_manifest(Path("two"), settings, jobs) as manifest:
        outcomes = list(
            restore_in_processes(
                BUILD, jobs, workers=2, seed=5, manifest=manifest, progress=done.append
            )
        )
    assert contents("one") == contents("two")
    assert len(contents("two")) == 5
    assert [outcome.job.source.name for outcome in outcomes if outcome.error] == ["bad.png"]
    assert done == [1, 2, 3, 4, 5, 6]
    assert len(Path("two", NAME).read_text().splitlines()) == 6
    assert no_process_is_left()


def test_a_file_that_appears_meanwhile_is_not_replaced(monkeypatch):
    received = workers.receive

    def receive(pipe):
        message = received(pipe)
        if isinstance(message, Encoded):
            Path("out").mkdir(exist_ok=True)
            message.job.target.write_bytes(b"mine")
        return message

    monkeypatch.setattr(workers, "receive", receive)
    jobs = plan([Path("in")], Path("out"))
    list(restore_in_processes(BUILD, jobs, workers=1))
    assert set(contents("out").values()) == {b"mine"}


def test_the_largest_picture_is_the_same_in_processes():
    jobs = plan([Path("in")], Path("out"))
    outcomes = list(restore_in_processes(BUILD, jobs, workers=1, max_pixels=9 * 10))
    assert contents("out").keys() == {"0.png", "1.png", "2.png"}
    assert sum("pixels" in (outcome.error or "") for outcome in outcomes) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send")
def test_a_killed_process_costs_its_file_and_a_new_one_goes_on():
    Image.fromarray(np.zeros((900, 900, 3), np.uint8)).save("in/1.png")  # seconds of work
    jobs = plan([Path("in")], Path("out"))
    with closing(restore_in_processes(BUILD, jobs, workers=1)) as outcomes:
        assert next(outcomes).error is None
        (process,) = multiprocessing.active_children()
        process.kill()
        rest = {outcome.job.source.name: outcome.error for outcome in outcomes}
    assert "in/1.png: its process was killed (signal 9)" in rest.pop("1.png")
    assert [name for name, error in rest.items() if error] == ["bad.png"]
    assert contents("out").keys() == {"0.png", "2.png", "3.png", "4.png"}
    assert no_process_is_left()


def test_whoever_stops_listening_ends_the_processes():
    jobs = plan([Path("in")], Path("out"))
    with closing(restore_in_processes(BUILD, jobs, workers=1)) as outcomes:
        next(outcomes)
    assert no_process_is_left()


def test_what_a_process_cannot_load_is_told_by_its_sentence():
    jobs = plan([Path("in")], Path("out"))
    build = partial(Restorer.from_pretrained, "nope")
    with pytest.raises(WeightsError, match="no file and no preset 'nope'"):
        list(restore_in_processes(build, jobs, workers=1))
    assert no_process_is_left()


def test_processes_that_die_at_their_start_end_the_run():
    jobs = plan([Path("in")], Path("out"))
    with pytest.raises(DeviceError, match="no process could start"):
        list(restore_in_processes(partial(os._exit, 3), jobs, workers=1))
    assert no_process_is_left()


def test_cores_are_shared_unless_the_environment_decides(monkeypatch):
    assert threads_for(2) is None
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: set(range(9)), raising=False)
    assert [threads_for(workers) for workers in (1, 2, 4, 20)] == [9, 4, 2, 1]
