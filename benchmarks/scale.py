"""How many pictures 2 workers of 1 core restore where 1 restores 1, by Ray and by torchrun.

    python benchmarks/scale.py [--pictures 24] [--rounds 3] [--side 160] [--model sr-x4-lite]
    python benchmarks/scale.py --driver 100000

Crops of one photo, on CPUs. Each worker has one core and one thread. The start is not counted: all
wait for the slowest, and each restores a picture or two first. Ways take turns, a round each, and
the median round is shown. Every way's files are compared with those of one process.

`--driver`: what so many files cost the one process that plans, remembers and writes.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from skimage import data

from diffir.distributed import cluster, rank_of_torchrun, restore_on_ray
from diffir.distributed.ranks import gathered
from diffir.files import digest_of
from diffir.inference import Restorer
from diffir.inference.batch import Encoded, Outcome, restore_files, save_encoded
from diffir.inference.jobs import Job, plan
from diffir.inference.manifest import Settings, open_manifest, read_manifest
from diffir.loading import weights_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--model", default="sr-x4-lite")
    parser.add_argument("--driver", type=int, metavar="FILES")
    parser.add_argument("--as-rank", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of those that are started; this one has its threads
    torch.set_num_threads(1)
    if asked.as_rank:
        as_rank(asked.model)
        return
    if asked.driver:
        with tempfile.TemporaryDirectory() as place:
            os.chdir(place)
            weigh_driver(asked.driver)
        return
    with tempfile.TemporaryDirectory() as place, cluster(cores=2):
        os.chdir(place)
        prepare(asked.pictures, asked.side)
        ways: dict[str, Callable[[], float]] = {
            "one process": partial(alone, asked.model),
            "Ray, 1 worker": partial(by_ray, asked.model, 1),
            "Ray, 2 workers": partial(by_ray, asked.model, 2),
            "torchrun, 1 process": partial(by_torchrun, asked.model, 1),
            "torchrun, 2 processes": partial(by_torchrun, asked.model, 2),
        }
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(asked.rounds):
            for way, run in ways.items():
                shutil.rmtree("out", ignore_errors=True)
                rates[way].append(run())
                require_same(way)
                print(f"{way}: {rates[way][-1]:.3f} pictures/s, load {load()}", file=sys.stderr)
        report(rates, asked)


def prepare(pictures: int, side: int) -> None:
    """Crops of a photo, each at another place."""
    photo = data.astronaut()
    Path("in").mkdir()
    for index in range(pictures):
        top, left = (37 * index) % (512 - side), (91 * index) % (512 - side)
        crop = Image.fromarray(photo[top : top + side, left : left + side])
        crop.save(f"in/{index:04}.png")


def build(model: str) -> Restorer:
    return Restorer.from_pretrained(model, device="cpu")


def build_together(model: str, workers: int) -> Restorer:
    """A restorer, when all workers have theirs."""
    restorer = build(model)
    Path("ready", str(os.getpid())).touch()
    while len(list(Path("ready").iterdir())) < workers:
        time.sleep(0.05)
    return restorer


def settings(model: str) -> Settings:
    return Settings(model=model, weights=digest_of(weights_file(model)))


def pictures_a_second(times: list[float], warm: int) -> float:
    """From the moments in which pictures were done, the first ones left out."""
    return (len(times) - warm) / (times[-1] - times[warm - 1])


def done(outcome: Outcome) -> float:
    assert outcome.error is None, outcome.error
    return time.monotonic()


def alone(model: str) -> float:
    jobs = plan([Path("in")], Path("out"))
    restorer = build(model)
    with open_manifest(Path("out"), settings(model), jobs) as manifest:
        times = [done(outcome) for outcome in restore_files(restorer, jobs, manifest=manifest)]
    return pictures_a_second(times, 1)


def by_ray(model: str, workers: int) -> float:
    jobs = plan([Path("in")], Path("out"))
    shutil.rmtree("ready", ignore_errors=True)
    Path("ready").mkdir()
    start = partial(build_together, model, workers)
    run = partial(restore_on_ray, start, workers=workers, cores=1, gpus=0)
    with open_manifest(Path("out"), settings(model), jobs) as manifest:
        times = [done(outcome) for outcome in run(jobs, manifest=manifest)]
    return pictures_a_second(times, 2 * workers)


def by_torchrun(model: str, processes: int) -> float:
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    told = subprocess.run(
        [sys.executable, *torchrun, str(SCRIPT), "--as-rank", "--model", model],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return json.loads(told)


def as_rank(model: str) -> None:
    """What one process of torchrun does; the first prints the pictures a second of all."""
    jobs = plan([Path("in")], Path("out"))
    with rank_of_torchrun() as rank:
        part: list[Job] = jobs if rank is None else rank.part(jobs)
        number = 0 if rank is None else rank.number
        restorer = build(model)
        with open_manifest(Path("out"), settings(model), part, number) as manifest:
            run = partial(restore_files, restorer, manifest=manifest)
            for outcome in run(part[:1]):
                done(outcome)
            wait(rank is not None)
            began = time.monotonic()
            for outcome in run(part[1:]):
                done(outcome)
            wait(rank is not None)
        counted = len(jobs) - (1 if rank is None else rank.of)
        if number == 0:
            print(json.dumps(counted / (time.monotonic() - began)))


def wait(for_others: bool) -> None:
    if for_others:
        gathered([0])


def require_same(way: str) -> None:
    """Compare the files with those that one process made in the first round."""
    made = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path("out").glob("*.png")
    }
    first = Path("first.json")
    if not first.exists():
        first.write_text(json.dumps(made))
    assert made == json.loads(first.read_text()), f"{way} made other files"


def weigh_driver(files: int) -> None:
    """Plan empty files, read a manifest of as many lines, and write pictures of 5 MB."""
    for index in range(files):
        path = Path("in", str(index % 100), f"{index}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    told = settings("sr-x4-lite")
    with weighed(f"plan {files} files"):
        jobs = plan([Path("in")], Path("out"))
    with (
        Path("lines").open("wb") as file,
        open_manifest(Path("out"), told, jobs) as manifest,
    ):
        manifest = replace(manifest, write=file.write)
        for number, job in enumerate(jobs):
            digest = hashlib.sha256(str(number).encode()).hexdigest()
            manifest.add(job, **FACTS, source_sha256=digest, target_sha256=digest)
    Path("lines").replace("out/manifest.jsonl")
    print(f"{Path('out/manifest.jsonl').stat().st_size / files:.0f} bytes a line")
    with weighed(f"read {files} lines"):
        held = read_manifest(Path("out"), told)
    assert len(held.lines) == files
    with open_manifest(Path("out"), told, jobs) as manifest:
        save = partial(save_encoded, manifest=manifest, overwrite=False)
        data = os.urandom(FACTS["bytes"])
        for threads in (1, 16):
            part = jobs[threads * 100 :][:64]
            began = time.monotonic()
            with ThreadPoolExecutor(threads) as pool:
                written = [Encoded(job=job, data=data, facts=dict(FACTS)) for job in part]
                assert not any(outcome.error for outcome in pool.map(save, written))
            rate = len(part) / (time.monotonic() - began)
            print(f"write files of 5 MB, {threads} at once: {rate:.0f} a second")
    print(f"load {load()}")


FACTS = {"width": 1920, "height": 1280, "bytes": 5_000_000, "seconds": 1.234}


@contextmanager
def weighed(what: str) -> Iterator[None]:
    """Say how long something takes, and by how much more memory is held after it."""
    before, began = memory_held(), time.monotonic()
    yield
    seconds = time.monotonic() - began
    print(f"{what}: {seconds:.1f} s, {(memory_held() - before) / 1e6:.0f} MB")


def memory_held() -> int:
    """Bytes, on Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def load() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg()) if os.name != "nt" else "unknown"


def report(rates: dict[str, list[float]], asked: argparse.Namespace) -> None:
    middle = {way: statistics.median(values) for way, values in rates.items()}
    print(f"{asked.model}, {asked.pictures} pictures of {asked.side} x {asked.side}, ", end="")
    print(f"{asked.rounds} rounds, {os.cpu_count()} cores ({platform.machine()}), load {load()}")
    print("| way | pictures/s, median (lowest to highest) | against one worker of its kind |")
    print("| --- | --- | --- |")
    for way, rate in middle.items():
        kind = way.partition(",")[0]
        one = next(value for other, value in middle.items() if other.startswith(kind))
        values = rates[way]
        print(f"| {way} | {rate:.3f} ({min(values):.3f} to {max(values):.3f}) | ", end="")
        print(f"{rate / one:.2f} |")
    print("All ways made the same bytes.")


SCRIPT = Path(__file__).resolve()
if __name__ == "__main__":
    main()
