"""The engine against the plain network: CPU seconds in interleaved rounds, and peak memory.

    python benchmarks/engine.py speed deblur sr-x4 inpaint
    python benchmarks/engine.py memory deblur --height 720 --width 1280

The plain network runs eagerly in float32, as it is and with channels last; weights are random,
which costs what trained ones do. Speed is `time.process_time` of whole pictures, so with one
thread (`--threads`) neither other programs' time nor waiting counts. Memory is the peak resident
size of a fresh process for each runner, less its size with the network loaded. The first line names
the threads and the allocator (its `MALLOC_…` variables).
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from diffir.inference.engine import plan_for, restore
from diffir.model import DiffIRS2
from diffir.presets import PRESETS

RUNNERS = ("plain", "plain, channels last", "engine", "engine, bfloat16")
SIDES = {"sr-x4": 96, "sr-x4-lite": 96}  # of LQ; other presets take 256


def network(name: str) -> DiffIRS2:
    torch.manual_seed(0)
    return DiffIRS2(PRESETS[name].config).eval()


def inputs(model: DiffIRS2, height: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    lq = torch.rand(1, model.config.in_channels, height, width, generator=generator)
    return lq, torch.randn(1, model.config.ipr_dim, generator=generator)


def runner(name: str, model: DiffIRS2) -> Callable[[Tensor, Tensor], Tensor]:
    """A way to restore; those with channels last change the network they are given."""
    if name == "plain":
        return torch.inference_mode()(model)
    if name == "engine":
        return lambda lq, noise: restore(model, lq, noise)
    if name == "engine, bfloat16":
        return lambda lq, noise: restore(model, lq, noise, dtype=torch.bfloat16)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return torch.inference_mode()(
        lambda lq, noise: model(lq.contiguous(memory_format=torch.channels_last), noise)
    )


def speed(preset: str, height: int, width: int, rounds: int) -> None:
    """Print a preset's row: medians, and how many times faster than plain."""
    runners = [runner(name, network(preset)) for name in RUNNERS]
    lq, noise = inputs(network(preset), height, width)
    times: list[list[float]] = [[] for _ in runners]
    for round_ in range(rounds + 1):
        for run, spent in zip(runners, times, strict=True):
            began = time.process_time()
            run(lq, noise)
            if round_:  # the first round warms up
                spent.append(time.process_time() - began)
    cells = []
    for spent in times:
        ratio = statistics.median(a / b for a, b in zip(times[0], spent, strict=True))
        cells.append(f"{statistics.median(spent):.2f} s ({ratio:.2f} ×)")
    print(f"| {preset} {width}×{height} | {' | '.join(cells)} |", flush=True)


def memory(preset: str, height: int, width: int, name: str) -> None:
    """Print one runner's peak; the process is to be fresh."""
    model = network(preset)
    run = runner(name, model)
    lq, noise = inputs(model, height, width)
    before = kilobytes("VmRSS") * 1024
    run(lq, noise)
    peak = kilobytes("VmHWM") * 1024  # ru_maxrss would begin with that of the process above us
    text = f"| {preset} {width}×{height} | {name} | {(peak - before) / 1e6:.0f} MB "
    print(f"{text}| {peak / 1e6:.0f} MB |", flush=True)


def kilobytes(field: str) -> int:
    """A field of this process's /proc/self/status."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("speed", "memory"))
    parser.add_argument("presets", nargs="+")
    parser.add_argument("--height", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runner", nargs="*", default=["plain", "engine"])
    parser.add_argument("--fresh", action="store_true", help="this process measures one runner")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    malloc = [f"{key}={value}" for key, value in os.environ.items() if key.startswith("MALLOC_")]
    if not arguments.fresh:
        print(f"{arguments.threads} thread(s), malloc {' '.join(malloc) or 'with its defaults'}")
        columns = RUNNERS if arguments.what == "speed" else ("runner", "more than idle", "whole")
        print("| | " + " | ".join(columns) + " |\n" + "| --- " * (len(columns) + 1) + "|")
    for preset in arguments.presets:
        height = arguments.height or SIDES.get(preset, 256)
        width = arguments.width or SIDES.get(preset, 256)
        if arguments.what == "speed":
            speed(preset, height, width, arguments.rounds)
        elif arguments.fresh:
            memory(preset, height, width, arguments.runner[0])
        else:
            print(plan_for(PRESETS[preset].config, 1, height, width).describe(), file=sys.stderr)
            for name in arguments.runner:
                size = ["--height", str(height), "--width", str(width)]
                command = [sys.executable, __file__, "memory", preset, *size, "--fresh"]
                threads = ["--threads", str(arguments.threads)]
                subprocess.run([*command, *threads, "--runner", name], check=True)


if __name__ == "__main__":
    main()
