"""Pictures per second of every metric, and what FID of large sets takes.

    python benchmarks/metrics.py
    python benchmarks/metrics.py --fid-pictures 1000 10000

The first prints the throughput on pictures of 256×256 in batches as `diffir evaluate` and FID make
them; the second what FID of so many pictures against a few takes, each in a process of its own, so
that the peaks of memory can be compared. Networks have their published sizes and random weights,
which change no time. One thread; medians over repetitions, metrics interleaved.
"""

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diffir.data.pixels import round_to_8_bit
from diffir.evaluation.alexnet import AlexNet
from diffir.evaluation.dists import DISTS, L2Pool, Shares
from diffir.evaluation.fid import BATCH, FID, frechet_distance
from diffir.evaluation.inception import Inception
from diffir.evaluation.lpips import LPIPS, Heads, VGG16Features
from diffir.evaluation.metrics import METRICS, Score
from diffir.evaluation.natural_scene import FEATURES
from diffir.evaluation.niqe import NIQE, PristineModel
from diffir.inference.memory import peak_of_process
from diffir.losses.vgg import VGG16

SIDE, SMALL = 256, 32
REPORTED = 500  # pictures of FID after which a line says how far it is


def lpips(network: AlexNet | VGG16Features) -> LPIPS:
    """LPIPS on a network."""
    return LPIPS(network, Heads(network.dims))


def dists() -> DISTS:
    """DISTS of the published size."""
    features = VGG16Features(VGG16(pool=L2Pool))
    return DISTS(features, Shares([3, *features.dims]))


LEARNT: dict[str, Callable[[], Score]] = {
    "lpips_alex": lambda: lpips(AlexNet()),
    "lpips_vgg": lambda: lpips(VGG16Features(VGG16())),
    "dists": dists,
    "fid": lambda: FID(Inception()),
    "niqe": lambda: NIQE(PristineModel(torch.zeros(FEATURES), torch.eye(FEATURES).double())),
}
"""What `METRICS` opens from files, with random numbers instead."""


def opened(name: str) -> Score:
    """A metric, its convolutions random, but so that a signal comes through."""
    torch.manual_seed(0)
    if name not in LEARNT:
        return METRICS[name].open(None)
    score = LEARNT[name]()
    for module in score.modules() if isinstance(score, nn.Module) else ():
        if isinstance(module, nn.Conv2d):
            module.weight.normal_(0, (2 / module.weight[0].numel()) ** 0.5)
    return score


def work_of(name: str) -> tuple[Callable[[], object], int]:
    """What is timed, and how many pictures it does."""
    score, count = opened(name), BATCH if name == "fid" else 1
    generator = torch.Generator().manual_seed(0)
    gt = round_to_8_bit(torch.rand(count, 3, SIDE, SIDE, generator=generator))
    restored = round_to_8_bit(gt + 0.1 * torch.randn(gt.shape, generator=generator))
    mask = torch.zeros(count, 1, SIDE, SIDE)
    mask[..., 60:120, 80:160] = 1
    if isinstance(score, FID):
        return lambda: score.gaussian([restored]), count
    images = {"gt": gt, "mask": mask}
    needed = {need: images[need] for need in METRICS[name].needs}
    return lambda: score(restored, **needed), count


def seconds(work: Callable[[], object], least: float = 1.0) -> float:
    """Of one call, the mean of as many as fill the least time."""
    began, calls = time.perf_counter(), 0
    while (taken := time.perf_counter() - began) < least or calls == 0:
        work()
        calls += 1
    return taken / calls


def throughput(repetitions: int) -> Iterator[str]:
    """The lines of the table of all metrics."""
    works = {name: work_of(name) for name in METRICS}
    for work, _ in works.values():
        work()  # the first one also asks the system for memory
    runs = [{name: seconds(work) for name, (work, _) in works.items()} for _ in range(repetitions)]
    yield from ("| metric | pictures at once | pictures/s |", "| --- | --- | --- |")
    for name, (_, count) in works.items():
        rate = count / statistics.median(run[name] for run in runs)
        yield f"| `{name}` | {count} | {rate:.3g} |"


def stream(count: int, seed: int) -> Iterator[Tensor]:
    """Small pictures (1, 3, 32, 32), each noise of its own contrast, one by one."""
    generator = torch.Generator().manual_seed(seed)
    for done in range(count):
        if done % REPORTED == 0:
            print(f"{done} of {count} pictures", file=sys.stderr, flush=True)
        contrast = torch.rand(1, generator=generator)
        yield round_to_8_bit(contrast * torch.rand(1, 3, SMALL, SMALL, generator=generator))


@dataclass(frozen=True, kw_only=True)
class Large:
    """What FID of a large set took."""

    seen: float
    """Seconds until both sets were features."""
    compared: float
    """Seconds from there to the distance."""
    peak: int | None
    """Bytes that the process held at most."""


@torch.no_grad()
def large(count: int, against: int) -> Large:
    """FID of two streams, in this process."""
    torch.set_num_threads(1)
    fid = opened("fid")
    assert isinstance(fid, FID)
    began = time.perf_counter()
    known = [fid.gaussian(stream(n, seed)) for seed, n in enumerate((count, against))]
    seen = time.perf_counter()
    frechet_distance(*known)
    ended = time.perf_counter()
    return Large(seen=seen - began, compared=ended - seen, peak=peak_of_process())


def large_rows(counts: list[int], against: int) -> Iterator[str]:
    """The lines of the table of large sets, as they come."""
    yield "| pictures | against | seconds | pictures/s | comparing, s | peak of memory |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for count in counts:
        # Spawned, for a fork would begin with the peak of this process.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found = pool.submit(large, count, against).result()
        peak = "–" if found.peak is None else f"{found.peak / 2**20:.0f} MiB"
        rate = (count + against) / found.seen
        times = f"{found.seen + found.compared:.0f} | {rate:.2f} | {found.compared:.0f}"
        yield f"| {count:,} | {against:,} | {times} | {peak} |"


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--fid-pictures", type=int, nargs="+", metavar="COUNT")
    parser.add_argument("--against", type=int, default=500)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    print(f"torch {torch.__version__}, one thread")
    counts = arguments.fid_pictures
    lines = large_rows(counts, arguments.against) if counts else throughput(arguments.repetitions)
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    main()
