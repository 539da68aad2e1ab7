"""A cluster makes what one process makes, whatever is killed meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from official import network, toy
from PIL import Image

import diffir
from diffir.checkpoints import Checkpoint, format
from diffir.distributed import cluster, on_ray, restore_on_ray
from diffir.errors import DeviceError, WeightsError
from diffir.inference import Restorer
from diffir.inference.batch import restore_files
from diffir.inference.jobs import Job, plan
from diffir.inference.manifest import NAME, Settings, open_manifest

ray = pytest.importorskip("ray", reason="Ray is not installed, or has no release for this Python")
BUILD = partial(Restorer.from_pretrained, "toy.safetensors", device="cpu")
SETTINGS = Settings(model="toy", weights="ab" * 32, seed=5)
pytestmark = pytest.mark.timeout(300)  # processes start and die, which takes long on a busy machine


@pytest.fixture(scope="module", autouse=True)
def two_cores() -> Iterator[None]:
    """A cluster, started once: it takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        with cluster(cores=2):
            yield


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> None:
    """Six pictures, one of them broken, and a network."""
    monkeypatch.chdir(tmp_path)
    format.save(Checkpoint(model=network(2, toy("deblur")), task="deblur"), Path("toy.safetensors"))
    Path("in").mkdir()
    for index in range(5):
        pixels = np.random.default_rng(index).integers(0, 256, (9, 8 + index, 3), np.uint8)
        Image.fromarray(pixels).save(f"in/{index}.png")
    Path("in/bad.png").write_text("no picture")


def slow(*names: str) -> None:
    """Make pictures large enough to be at work while somebody looks: seconds each."""
    for name in names:
        Image.fromarray(np.zeros((1600, 1600, 3), np.uint8)).save(f"in/{name}.png")


def contents(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.png")}


def made_alone(folder: str = "alone") -> dict[str, bytes]:
    list(restore_files(BUILD(), plan([Path("in")], Path(folder)), seed=5))
    return contents(folder)


def restored(**options) -> dict[str, str | None]:
    """Restore `in` into `out` on the cluster: what failed, and why, by name."""
    jobs = plan([Path("in")], Path("out"))
    with open_manifest(Path("out"), SETTINGS, jobs) as manifest:
        outcomes = list(restore_on_ray(BUILD, jobs, seed=5, manifest=manifest, **options))
    return {outcome.job.source.stem: outcome.error or outcome.skipped for outcome in outcomes}


def at_work() -> list[int]:
    """The processes of the cluster that are at a picture."""
    titles = {
        int(path.parent.name): path.read_bytes()
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if is_ours(path.parent)
    }
    return [pid for pid, title in titles.items() if title.startswith(b"ray::Worker.restore")]


def is_ours(process: Path) -> bool:
    try:
        parent = next(
            line.split()[1]
            for line in Path(process, "status").read_text().splitlines()
            if line.startswith("PPid")
        )
    except OSError:
        return False
    return parent == str(os.getpid()) or (parent not in "01" and is_ours(Path("/proc", parent)))


def kill_one_at_work() -> None:
    """Kill the process that is at one of the slow pictures; the others take no half second."""
    ends = time.monotonic() + 200
    since: float | None = None
    # By the clock: on a busy machine one look can take as long as many on an idle one.
    while since is None or time.monotonic() - since < 0.5:
        assert time.monotonic() < ends, "no process ever was at a slow picture"
        time.sleep(0.02)
        found = at_work()
        since = (since or time.monotonic()) if found else None
    os.kill(found[0], signal.SIGKILL)


def errors_when_one_is_killed(jobs: list[Job], **options) -> dict[str, str | None]:
    """What failed on the cluster, and why, by name, when the process at a slow picture is killed.

    Results are taken all the while, for workers are given no more than is taken from them.
    """
    with ThreadPoolExecutor(1) as thread:
        outcomes = thread.submit(list, restore_on_ray(BUILD, jobs, workers=1, seed=5, **options))
        kill_one_at_work()
        return {outcome.job.source.stem: outcome.error for outcome in outcomes.result()}


def no_actor_is_left() -> bool:
    ends = time.monotonic() + 20
    while ray.available_resources().get("CPU") != 2 and time.monotonic() < ends:
        time.sleep(0.1)
    return ray.available_resources().get("CPU") == 2


def test_a_cluster_makes_the_files_and_lines_that_one_process_makes():
    done = []
    failed = restored(workers=3, progress=done.append)  # the third finds no room, and is not missed
    assert contents("out") == made_alone()
    assert len(contents("out")) == 5
    assert failed.pop("bad").startswith("in/bad.png: not a picture")
    assert set(failed.values()) == {None}
    assert done == [1, 2, 3, 4, 5, 6]
    lines = [json.loads(line) for line in Path("out", NAME).read_text().splitlines()]
    assert sorted(line["source"] for line in lines) == sorted(
        path.name for path in Path("in").iterdir()
    )
    assert no_actor_is_left()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes by /proc")
def test_a_killed_worker_costs_nothing_but_time_and_makes_nothing_twice():
    slow("3")
    jobs = plan([Path("in")], Path("out"))
    with open_manifest(Path("out"), SETTINGS, jobs) as manifest:
        errors = errors_when_one_is_killed(jobs, manifest=manifest)
    assert [name for name, error in errors.items() if error] == ["bad"]
    assert contents("out") == made_alone()
    assert len(Path("out", NAME).read_text().splitlines()) == 6


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes by /proc")
def test_a_file_that_its_processes_die_at_fails_in_the_end_and_the_rest_goes_on(monkeypatch):
    monkeypatch.setattr(on_ray, "MAX_DEATHS", 1)
    slow("3")
    jobs = plan([Path("in")], Path("out"))
    errors = errors_when_one_is_killed(jobs)
    assert errors.pop("3").startswith("in/3.png: 1 processes died restoring it")
    assert [name for name, error in errors.items() if error] == ["bad"]
    assert contents("out").keys() == {"0.png", "1.png", "2.png", "4.png"}


DRIVER = """
import sys
from functools import partial
from pathlib import Path
from diffir.distributed import cluster, restore_on_ray
from diffir.inference import Restorer
from diffir.inference.jobs import Job, plan
from diffir.inference.manifest import Settings, open_manifest
jobs = plan([Path("in")], Path("out"))
build = partial(Restorer.from_pretrained, "toy.safetensors", device="cpu")
settings = Settings(model="toy", weights="ab" * 32, seed=5)
with cluster(sys.argv[1]), open_manifest(Path("out"), settings, jobs) as manifest:
    for outcome in restore_on_ray(build, jobs, workers=1, seed=5, manifest=manifest):
        print(outcome.job.source, flush=True)
"""


def test_the_next_run_goes_on_where_a_killed_driver_was():
    slow("3")
    address = ray.get_runtime_context().gcs_address
    driver = [sys.executable, "-c", DRIVER, address]
    with subprocess.Popen(driver, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(2):
            assert process.stdout.readline().startswith("in/")
        process.kill()
    before = contents("out")
    assert 0 < len(before) < 5
    assert no_actor_is_left()
    outcomes = restored(workers=1)
    there = {name for name, why in outcomes.items() if why == "already made from the same input"}
    assert there == {Path(name).stem for name in before}
    assert contents("out") == made_alone()


def test_whoever_stops_listening_ends_the_workers():
    jobs = plan([Path("in")], Path("out"))
    with closing(restore_on_ray(BUILD, jobs, workers=1)) as outcomes:
        next(outcomes)
    assert no_actor_is_left()


def test_what_a_worker_cannot_load_is_told_by_its_sentence():
    build = partial(Restorer.from_pretrained, "nope")
    with pytest.raises(WeightsError, match="no file and no preset 'nope'"):
        list(restore_on_ray(build, plan([Path("in")], Path("out")), workers=1))


def test_workers_that_die_at_their_start_end_the_run(monkeypatch):
    monkeypatch.setattr(on_ray, "MAX_DEATHS", 1)
    with pytest.raises(DeviceError, match="no worker could start on the cluster"):
        list(restore_on_ray(partial(os._exit, 3), plan([Path("in")], Path("out")), workers=1))
    assert no_actor_is_left()


def test_a_worker_of_another_version_is_refused():
    on_ray.require_version(diffir.__version__)
    with pytest.raises(DeviceError, match=r"a worker has diffir 0\.0, this is"):
        on_ray.require_version("0.0")


def test_workers_that_no_machine_can_hold_are_not_waited_for():
    with pytest.raises(DeviceError, match="needs 64 cores and 0 GPUs"):
        restored(workers=1, cores=64)


def test_workers_are_as_many_as_the_machines_have_room_for():
    small, large = {"CPU": 4.0}, {"CPU": 9.0, "GPU": 2.0}
    nodes = [{"Alive": True, "Resources": has} for has in (small, large)]
    nodes.append({"Alive": False, "Resources": {"CPU": 64.0}})
    assert on_ray.room(nodes, 1, 0) == 13
    assert on_ray.room(nodes, 4, 0) == 3
    assert on_ray.room(nodes, 1, 0.5) == 4
    with pytest.raises(DeviceError, match="needs 10 cores and 0 GPUs, the cluster's machines have"):
        on_ray.room(nodes, 10, 0)


def test_an_address_where_nothing_answers_is_a_sentence():
    told = r"no Ray cluster at 127.0.0.1:1 \(.*refused\); start one"
    with pytest.raises(DeviceError, match=told), cluster("127.0.0.1:1"):
        pass
