"""Restoring on a GPU: whole maps against stripes, by Triton's programs and by plain torch.

    python benchmarks/gpu.py deblur-lite inpaint-lite real-x4-lite
    python benchmarks/gpu.py deblur-lite --side 2048 --rounds 5

Networks have their bundled weights, random ones where there are none; the picture is random, square
and of side `--side` (LQ a quarter of it for super-resolution). Seconds are medians of the clock
over rounds in which all take their turn, the device waited for; memory is the most that torch held
beside network and picture; 'off' is the largest difference to the plain network on the CPU in
float32. What commands use by default is whole maps, and stripes where memory does not suffice.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from diffir.errors import WeightsError
from diffir.inference.engine import restore, run
from diffir.inference.engine.choice import kernels_for
from diffir.inference.engine.kernels import Kernels
from diffir.inference.network import run_plainly
from diffir.loading import load
from diffir.model import DiffIRS2
from diffir.presets import PRESETS
from diffir.presets.preset import Preset

CUDA = torch.device("cuda")
Restore = Callable[[Tensor, Tensor], Tensor | None]


def network(preset: Preset) -> DiffIRS2:
    """On the CPU."""
    try:
        found = load(preset.name)
    except WeightsError:
        torch.manual_seed(0)
        found = DiffIRS2(preset.config)
    assert isinstance(found, DiffIRS2)
    return found.eval()


def whole(model: DiffIRS2, dtype: torch.dtype, lq: Tensor, noise: Tensor) -> Tensor | None:
    """All maps at once, as commands do where memory suffices."""
    return run_plainly(model, lq, noise, None, dtype, None)


def stripes(model: DiffIRS2, dtype: torch.dtype, lq: Tensor, noise: Tensor) -> Tensor:
    """The engine, by Triton's programs where a trial finds them right."""
    setattr(run, "kernels_for", kernels_for)  # noqa: B010  (imported there, not exported)
    return restore(model, lq, noise, dtype=dtype)


def stripes_without_triton(
    model: DiffIRS2, dtype: torch.dtype, lq: Tensor, noise: Tensor
) -> Tensor:
    """The engine on plain torch."""
    setattr(run, "kernels_for", lambda dtype, _device: Kernels(dtype))  # noqa: B010
    return restore(model, lq, noise, dtype=dtype)


RUNNERS = {
    "whole maps": whole,
    "stripes, Triton": stripes,
    "stripes, plain torch": stripes_without_triton,
}


@torch.inference_mode()
def measure(preset: Preset, side: int, rounds: int) -> list[str]:
    """The rows of a network."""
    lq_side = side // 4 if preset.config.scale == 4 else side
    generator = torch.Generator().manual_seed(0)
    lq = torch.rand(1, preset.config.in_channels, lq_side, lq_side, generator=generator)
    noise = torch.randn(1, preset.config.ipr_dim, generator=generator)
    model = network(preset)
    wanted = model(lq, noise)
    model, lq, noise = model.to(CUDA), lq.to(CUDA), noise.to(CUDA)
    runs: dict[str, Restore] = {
        f"{name}, {str(dtype).removeprefix('torch.')}": partial(runner, model, dtype)
        for name, runner in RUNNERS.items()
        for dtype in (torch.float32, torch.bfloat16)
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    memory, off = dict[str, float](), dict[str, float]()
    for round_ in range(rounds + 1):
        for name, restored_by in runs.items():
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            held, began = torch.cuda.memory_allocated(), time.perf_counter()
            restored = restored_by(lq, noise)
            torch.cuda.synchronize()
            if round_:  # the first warms up
                seconds[name].append(time.perf_counter() - began)
            memory[name] = (torch.cuda.max_memory_allocated() - held) / 1e6
            assert restored is not None
            off[name] = (restored.cpu() - wanted).abs().max().item()
    return [
        f"| {preset.name} {lq_side}² | {name} | {statistics.median(seconds[name]) * 1e3:.1f} | "
        f"{memory[name]:.0f} | {off[name]:.1e} |"
        for name in runs
    ]


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("presets", nargs="+", choices=PRESETS, metavar="PRESET")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    kernels = type(kernels_for(torch.float32, CUDA)).__name__
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, kernels {kernels}\n")
    print("| network, LQ | way | ms | MB | off |\n| --- | --- | --- | --- | --- |", flush=True)
    for name in arguments.presets:
        print("\n".join(measure(PRESETS[name], arguments.side, arguments.rounds)), flush=True)


if __name__ == "__main__":
    main()
