"""The engine's speed against the plain network and other runtimes: CPU seconds, interleaved.

    python benchmarks/speed.py deblur sr-x4 inpaint
    python benchmarks/speed.py deblur-lite --rivals compile onnxruntime
    python benchmarks/speed.py sr-x4-lite --side 24 --batch 4

The engine is what the commands run, which takes whole maps for the smallest pictures. The plain
network runs eagerly in float32, as it is and with channels last; weights are random, which costs
what trained ones do. A time is `time.process_time` of a call over the threads, so other programs'
time does not count; every runner takes its turn in every round, and the ratio is the median over
rounds of plain's time to its own. The first line names threads and allocator (its `MALLOC_…`
variables). Rivals: torch.compile, and ONNX Runtime (`pip install onnx onnxscript onnxruntime`),
both of the plain network in float32; making them ready is told apart.
"""

import argparse
import io
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from diffir.inference.network import run_network
from diffir.model import DiffIRS2
from diffir.presets import PRESETS

Run: TypeAlias = Callable[[Tensor, Tensor], object]
SIDES = {"sr-x4": 96, "sr-x4-lite": 96}  # of LQ; other presets take 256


def network(name: str) -> DiffIRS2:
    torch.manual_seed(0)
    return DiffIRS2(PRESETS[name].config).eval()


def inputs(model: DiffIRS2, height: int, width: int, batch: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    lq = torch.rand(batch, model.config.in_channels, height, width, generator=generator)
    return lq, torch.randn(batch, model.config.ipr_dim, generator=generator)


def plain(preset: str, _lq: Tensor, _noise: Tensor) -> Run:
    return torch.inference_mode()(network(preset))


def channels_last(preset: str, _lq: Tensor, _noise: Tensor) -> Run:
    model = network(preset).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return torch.inference_mode()(
        lambda lq, noise: model(lq.contiguous(memory_format=torch.channels_last), noise)
    )


def engine(dtype: torch.dtype, preset: str, _lq: Tensor, _noise: Tensor) -> Run:
    model = network(preset)
    return torch.inference_mode()(
        lambda lq, noise: run_network(model, lq, noise[None], dtype=dtype)
    )


def compiled(preset: str, lq: Tensor, noise: Tensor) -> Run:
    run = torch.inference_mode()(torch.compile(network(preset)))
    run(lq, noise)
    return run


def onnxruntime(preset: str, lq: Tensor, noise: Tensor) -> Run:
    import onnxruntime as ort

    file = io.BytesIO()
    program = torch.onnx.export(network(preset), (lq, noise), dynamo=True)
    program.save(file)
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return lambda *given: session.run(None, dict(zip(names, map(Tensor.numpy, given), strict=True)))


RUNNERS = {
    "plain": plain,
    "channels last": channels_last,
    "engine": partial(engine, torch.float32),
    "engine, bfloat16": partial(engine, torch.bfloat16),
}
RIVALS = {"compile": compiled, "onnxruntime": onnxruntime}


def measure(preset: str, names: list[str], side: int, batch: int, rounds: int) -> list[str]:
    """The cells of a preset's row: medians, and how many times faster than plain."""
    lq, noise = inputs(network(preset), side, side, batch)
    runners = []
    for name in names:
        began = time.perf_counter()
        runners.append((RUNNERS | RIVALS)[name](preset, lq, noise))
        if name in RIVALS:
            print(f"<!-- {preset}: {name} ready in {time.perf_counter() - began:.0f} s -->")
    times: list[list[float]] = [[] for _ in runners]
    for round_ in range(rounds + 1):
        for run, spent in zip(runners, times, strict=True):
            began = time.process_time()
            run(lq, noise)
            if round_:  # the first round warms up
                spent.append((time.process_time() - began) / torch.get_num_threads())
    ratios = [[a / b for a, b in zip(times[0], spent, strict=True)] for spent in times]
    return [
        f"{statistics.median(spent):.2f} s ({statistics.median(ratio):.2f} ×)"
        for spent, ratio in zip(times, ratios, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("presets", nargs="+")
    parser.add_argument("--side", type=int, help="of LQ; 256, or 96 for super-resolution")
    parser.add_argument("--batch", type=int, default=1, help="pictures in a call")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rivals", nargs="*", default=[], choices=RIVALS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    malloc = [f"{key}={value}" for key, value in os.environ.items() if key.startswith("MALLOC_")]
    print(
        f"{arguments.threads} thread(s), torch {torch.__version__}, "
        f"malloc {' '.join(malloc) or 'with its defaults'}\n"
    )
    names = [*RUNNERS, *arguments.rivals]
    print("| | " + " | ".join(names) + " |\n" + "| --- " * (len(names) + 1) + "|")
    for preset in arguments.presets:
        side = arguments.side or SIDES.get(preset, 256)
        cells = measure(preset, names, side, arguments.batch, arguments.rounds)
        pictures = f"{arguments.batch} of " if arguments.batch > 1 else ""
        print(f"| {preset} {pictures}{side}×{side} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
