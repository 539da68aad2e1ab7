"""Memory and time of a picture over its size: the engine and the plain network, fresh processes.

    python benchmarks/memory.py deblur --sizes 1280x720
    python benchmarks/memory.py deblur-lite --sizes 640x480 1632x1224 4000x3000 --runners engine
    python benchmarks/memory.py deblur --sizes 128x128 256x256 512x512 --plot docs/performance.png

Sizes are of LQ. Every row is a process of its own that restores one random picture with random
weights. 'Memory' is the peak resident size less the size with the network loaded and the picture
made, 'whole' the peak itself, 'planned' what the engine said before. CPU seconds are
`time.process_time`, all threads together, of a first run, choice of kernels included.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

from diffir.inference.engine import plan_for, restore
from diffir.model import DiffIRS2
from diffir.presets import PRESETS


def kilobytes(field: str) -> int:
    """A field of this process's /proc/self/status; ru_maxrss begins with its parent's peak."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def measured(preset: str, width: int, height: int, runner: str) -> dict[str, float]:
    """Seconds and MB of one picture; this process is to be fresh."""
    torch.manual_seed(0)
    model = DiffIRS2(PRESETS[preset].config).eval()
    sides = (side + -side % model.config.multiple_of for side in (height, width))
    lq = torch.rand(1, model.config.in_channels, *sides)
    noise = torch.randn(1, model.config.ipr_dim)
    before = kilobytes("VmRSS")
    began = time.process_time()
    if runner == "engine":
        restore(model, lq, noise)
    else:
        with torch.inference_mode():
            model(lq, noise)
    seconds = time.process_time() - began
    peak = kilobytes("VmHWM")
    return {"seconds": seconds, "memory": (peak - before) / 1e3 * 1.024, "whole": peak * 1.024e-3}


def planned(preset: str, width: int, height: int) -> float:
    config = PRESETS[preset].config
    height, width = (side + -side % config.multiple_of for side in (height, width))
    return plan_for(config, 1, height, width).bytes / 1e6


def plot(rows: list[dict[str, object]], file: Path) -> None:
    """Memory and seconds over megapixels of LQ, a line for every preset and runner."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    lines = dict.fromkeys((row["preset"], row["runner"]) for row in rows)
    for axis, key, label in zip(
        axes,
        ("memory", "seconds"),
        ("peak memory beyond the network, MB", "CPU seconds"),
        strict=True,
    ):
        for preset, runner in lines:
            mine = [row for row in rows if (row["preset"], row["runner"]) == (preset, runner)]
            style = {"marker": "o", "linestyle": "-" if runner == "engine" else "--"}
            axis.loglog(
                [row["megapixels"] for row in mine],
                [row[key] for row in mine],
                label=f"{preset}, {runner}",
                **style,
            )
        axis.set(xlabel="megapixels of LQ", ylabel=label)
        axis.grid(alpha=0.3, which="both")
    axes[0].legend()
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("presets", nargs="+")
    parser.add_argument("--sizes", nargs="+", default=["1280x720"], metavar="WIDTHxHEIGHT")
    parser.add_argument("--runners", nargs="+", default=["plain", "engine"])
    parser.add_argument(
        "--plain-up-to", type=float, default=1.0, help="megapixels; memory bounds it"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--fresh", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sizes = [tuple(map(int, size.split("x"))) for size in arguments.sizes]
    if arguments.fresh:
        print(json.dumps(measured(arguments.presets[0], *sizes[0], arguments.runners[0])))
        return
    print(f"{arguments.threads} thread(s), torch {torch.__version__}\n")
    print("| | runner | CPU s | µs a pixel | memory MB | whole MB | planned MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rows: list[dict[str, object]] = []
    for preset in arguments.presets:
        for runner in arguments.runners:
            for width, height in sizes:
                megapixels = width * height / 1e6
                if runner == "plain" and megapixels > arguments.plain_up_to:
                    continue
                words = [preset, "--sizes", f"{width}x{height}", "--runners", runner, "--fresh"]
                command = [sys.executable, __file__, *words, "--threads", str(arguments.threads)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found = json.loads(done.stdout)
                rows.append({"preset": preset, "runner": runner, "megapixels": megapixels} | found)
                plan = f"{planned(preset, width, height):.0f}" if runner == "engine" else ""
                print(
                    f"| {preset} {width}×{height} | {runner} | {found['seconds']:.1f} "
                    f"| {found['seconds'] / megapixels:.1f} | {found['memory']:.0f} "
                    f"| {found['whole']:.0f} | {plan} |",
                    flush=True,
                )
    if arguments.plot:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
