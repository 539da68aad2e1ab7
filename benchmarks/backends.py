"""Speed and loss of exported files beside the engine's: CPU seconds, interleaved.

    diffir export sr-x4-lite --to onnx -o exports/sr-x4-lite.onnx
    python benchmarks/backends.py sr-x4-lite exports/sr-x4-lite*.{onnx,xml,pt2} \\
        --lq DATA/Set14/LR_x4 --gt DATA/Set14/HR

A time is `time.process_time` of one picture of noise over the threads, so other programs' time does
not count; every runner takes its turn in every round, and the ratio is the median over rounds of
the engine's time to its own. An .onnx file is run by ONNX Runtime and by OpenVINO, where that is
installed. With --lq and --gt, pictures of equal names, also PSNR in dB and what is lost against the
plain network: by the protocol of the SR papers (Y, a border of `scale` pixels left out) for super-
resolution, in RGB for the others; 8-bit pictures, seed 0. Inpainting, which wants masks, has none.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from diffir.errors import DeviceError
from diffir.evaluation import psnr, round_to_8_bit
from diffir.export import ExportedRestorer
from diffir.export.check import plainly
from diffir.export.graph import example, inputs_of
from diffir.export.runners import BACKENDS, open_torch
from diffir.images import read
from diffir.inference import Restorer
from diffir.inference.planes import split

Restore: TypeAlias = Callable[..., Tensor]
"""As `Restorer.restore_batch`."""


def plain(restorer: Restorer) -> Restore:
    """The network without engine or export."""

    def run(images: Tensor, *, masks: Tensor | None = None, seeds: list[int]) -> Tensor:
        noise = torch.cat([restorer.noise(seed) for seed in seeds])
        given = [images, noise] + ([] if masks is None else [masks])
        arrays = {
            name: each.numpy() for name, each in zip(inputs_of(restorer.task), given, strict=True)
        }
        return torch.from_numpy(plainly(restorer.model, restorer.task, arrays))

    return run


def opened(path: Path) -> Iterator[ExportedRestorer]:
    """A file by each backend that runs it and is installed."""
    if path.suffix == ".pt2":  # of our own making; others' are not to be trusted
        yield ExportedRestorer(open_torch({".pt2": path.read_bytes()}, path))
    for backend in BACKENDS[path.suffix]:
        try:
            yield ExportedRestorer.from_file(path, backend)
        except DeviceError as error:
            print(f"<!-- {path.name}: {error} -->")


def runners(name: str, files: Iterable[Path]) -> dict[str, tuple[Restore, str]]:
    """What restores, with the size of its file, by its name in the table."""
    restorer = Restorer.from_pretrained(name, device="cpu")
    found: dict[str, tuple[Restore, str]] = {
        "engine float32": (restorer.restore_batch, ""),
        "plain network float32": (plain(restorer), ""),
    }
    for path in files:
        for exported in opened(path):
            parts = [path] + ([path.with_suffix(".bin")] if path.suffix == ".xml" else [])
            size = f"{sum(part.stat().st_size for part in parts) / 1e6:.1f} MB"
            runner = exported.runner
            label = f"{runner.backend} {runner.facts.precision} {path.suffix}"
            found[label] = (exported.restore_batch, size)
    return found


def seconds(runs: list[Callable[[], object]], rounds: int) -> list[list[float]]:
    """CPU seconds a thread of each, round by round; the first round warms up."""
    times: list[list[float]] = [[] for _ in runs]
    for round_ in range(rounds + 1):
        for run, spent in zip(runs, times, strict=True):
            began = time.process_time()
            run()
            if round_:
                spent.append((time.process_time() - began) / torch.get_num_threads())
    return times


def as_tensor(path: Path) -> Tensor:
    """(1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(split(read(path)))).permute(2, 0, 1)[None]


def mean_psnr(restore: Restore, lq: Path, gt: Path, is_sr: bool) -> float:
    """The mean over the pictures in two folders, in dB."""
    truths = {path.stem: path for path in gt.iterdir()}
    scores = []
    for path in sorted(lq.iterdir()):
        image, truth = as_tensor(path), as_tensor(truths[path.stem])
        restored = restore(image, seeds=[0])
        height, width = restored.shape[-2:]
        scale = height // image.shape[-2]
        truth = truth[..., :height, :width]
        border = scale if is_sr else 0
        scores.append(psnr(round_to_8_bit(restored), truth, border=border, y_channel=is_sr))
    return float(torch.cat(scores).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", help="a preset's name or a file of weights, for engine and plain")
    parser.add_argument("files", nargs="*", type=Path, help="exported files of the same network")
    parser.add_argument("--side", type=int, default=128, help="of the picture that is timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--lq", type=Path)
    parser.add_argument("--gt", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    restorer = Restorer.from_pretrained(arguments.name, device="cpu")
    image, _, *masks = example(restorer.model, restorer.task, 1, arguments.side, arguments.side)
    mask = masks[0] if masks else None
    found = runners(arguments.name, arguments.files)
    runs = [partial(restore, image, masks=mask, seeds=[0]) for restore, _ in found.values()]
    times = seconds(runs, arguments.rounds)
    scores: list[float | None] = [None] * len(found)
    if arguments.lq and arguments.gt:
        is_sr = restorer.task.name == "sr"
        scores = [
            mean_psnr(restore, arguments.lq, arguments.gt, is_sr) for restore, _ in found.values()
        ]
    print(f"{arguments.name}, {arguments.side}×{arguments.side}, {arguments.threads} thread(s)\n")
    print(
        "| run by | file | seconds | of the engine's speed | PSNR | lost |\n" + "| --- " * 6 + "|"
    )
    for (label, (_, size)), spent, score in zip(found.items(), times, scores, strict=True):
        ratio = statistics.median(a / b for a, b in zip(times[0], spent, strict=True))
        cells = [label, size, f"{statistics.median(spent):.2f}", f"{ratio:.2f} ×"]
        if score is not None and scores[1] is not None:
            cells += [f"{score:.3f} dB", f"{round(scores[1] - score, 3) + 0:.3f} dB"]
        print("| " + " | ".join([*cells, "", ""][:6]) + " |")


if __name__ == "__main__":
    main()
