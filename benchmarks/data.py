"""Pairs per second of each data pipeline, beside what training the lite networks consumes.

    python benchmarks/data.py --data PHOTOS
    python benchmarks/data.py --data PHOTOS --device cuda

Crops of 128 GT pixels, batches of 16, one thread a worker; the process that takes the batches does
nothing else. On a GPU second order and motion blur are made there, from crops that two workers
cut. Below, the pairs per second that a training step takes (stage 1, the fastest of the three
phases that move DIRformer; bfloat16 autocast), with all threads and batches ready in memory.
Medians over repetitions, pipelines interleaved; glibc's allocator with its defaults.
"""

import argparse
import statistics
import time
from functools import partial
from pathlib import Path

import torch

from diffir.data import DEGRADATIONS, Batch, Feed, Stream, data_sets, open_sets
from diffir.inference.devices import to_device
from diffir.model import DiffIRS1
from diffir.presets import PRESETS
from diffir.recipe import Recipe
from diffir.training.fabric import opened_fabric
from diffir.training.learner import Learner
from diffir.training.loop import placed
from diffir.training.stages import Stage1

GT, BATCH = 128, 16
# pipeline: (degradation, scale, whether its pictures are synthetic, who learns from it)
PIPELINES = {
    "bicubic ×4": ("bicubic", 4, False, "sr-x4-lite"),
    "bicubic ×4, dead leaves": ("bicubic", 4, True, "sr-x4-lite"),
    "second order ×4, mild": ("mild", 4, False, "sr-x4-lite"),
    "second order ×4, published": ("published", 4, False, "sr-x4-lite"),
    "camera shake": ("motion", 1, False, "deblur-lite"),
    "masks, training": ("holes-training", 1, False, "inpaint-lite"),
}


def stream_of(pipeline: str, photos: Path, device: torch.device, workers: int) -> Stream:
    """A pipeline's batches."""
    name, scale, is_made, _ = PIPELINES[pipeline]
    source = open_sets(data_sets(["dead-leaves" if is_made else str(photos)]), scale=scale)
    feed = Feed(
        source=source,
        degradation=DEGRADATIONS[name],
        scale=scale,
        device=device,
        workers=workers,
    )
    return Stream(feed, Sizes(GT // scale), (0, 1))


class Sizes:
    """Crops of one size; a class, so that workers can be sent it."""

    def __init__(self, lq_size: int) -> None:
        self.lq_size = lq_size

    def __call__(self, step: int) -> tuple[int, int]:
        """(side of LQ, batch)."""
        return self.lq_size, BATCH


def pairs_per_second(stream: Stream, seconds: float, warm: int = 4) -> float:
    """How fast batches come, after the first few."""
    began, done = 0.0, 0
    for step, batch in enumerate(stream.batches(0, 10**6)):
        finish(batch.lq.device)
        if step + 1 == warm:
            began = time.perf_counter()
        elif step >= warm:
            done += len(batch.lq)
            if time.perf_counter() - began > seconds:
                break
    return done / (time.perf_counter() - began)


def consumed(name: str, batch: Batch, device: torch.device, seconds: float) -> float:
    """Pairs per second of a network's training step on one batch."""
    torch.manual_seed(0)
    preset = PRESETS[name]
    assert preset.recipe is not None
    recipe: Recipe = preset.recipe
    learner = Learner(
        opened_fabric(device),
        Stage1(to_device(DiffIRS1(preset.config), device)),
        learning_rate=1e-5,
        adam_betas=(0.9, 0.99),
        clip=recipe.gradient_clip,
        bfloat16=recipe.precision == "bfloat16",
    )

    def step() -> None:
        learner.step([(batch.map(partial(placed, device=device)), {})], 1e-5)

    for _ in range(2):
        step()
    finish(device)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        step()
        finish(device)
        done += len(batch.lq)
    return done / (time.perf_counter() - began)


def finish(device: torch.device) -> None:
    """Wait for what a GPU has still to do."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    device, seconds = torch.device(arguments.device), arguments.seconds

    rates: dict[tuple[str, int], list[float]] = {}
    for _ in range(arguments.repetitions):
        for pipeline in PIPELINES:
            for workers in (1, 2):
                stream = stream_of(pipeline, arguments.data, device, workers)
                rate = pairs_per_second(stream, seconds)
                rates.setdefault((pipeline, workers), []).append(rate)
    learnt: dict[str, float] = {}
    for pipeline, (*_, name) in PIPELINES.items():
        if name not in learnt:
            (batch,) = stream_of(pipeline, arguments.data, device, 0).batches(0, 1)
            runs = [consumed(name, batch, device, seconds) for _ in range(arguments.repetitions)]
            learnt[name] = statistics.median(runs)

    print(f"on {device}, {torch.get_num_threads()} threads")
    print("| pipeline | 1 worker | 2 workers | training takes | 2 workers / training |")
    print("| --- | --- | --- | --- | --- |")
    for pipeline, (*_, name) in PIPELINES.items():
        one, two = (statistics.median(rates[pipeline, workers]) for workers in (1, 2))
        print(
            f"| {pipeline} | {one:.0f} | {two:.0f} | {learnt[name]:.0f} ({name}) "
            f"| {two / learnt[name]:.1f} × |"
        )


if __name__ == "__main__":
    main()
