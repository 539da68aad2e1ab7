"""Which sizes suit a small network: candidates trained for the same short time, then judged.

    python benchmarks/sizes.py sr-x4 sr-x2 deblur inpaint --data DATA --seconds 120 -o sizes.png

Printed as Markdown and, with `-o`, drawn: what a candidate costs against its PSNR, the front (those
that none surpasses in both) as a line, the lite preset's sizes in red.

Each candidate is a stage-2 network trained end to end on L1 alone (no teacher, so nothing leaks)
for the same CPU seconds on one thread, bfloat16 autocast, batch 8, crops of 128 GT pixels (×4), 64
(×2) and 96 (×1), Adam at 8e-4 with a cosine. DATA is laid out as `train/photos/bsds500`,
`val/sr/B100/HR` and, for deblurring, `train/deblur_pairs` and `val/deblur_pairs` with `blur` and
`sharp`. Judged on the first 15 pictures of B100 reduced by MATLAB's bicubic (PSNR on Y), the
blurred frames (PSNR on RGB), or the centres of those 15 with a 48-pixel box blacked out every 96
pixels (PSNR on RGB inside the boxes).
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from diffir.data import Bicubic, Feed, Source, Stream, imresize, open_sets, picture_files
from diffir.data.pixels import Pixels, rgb_pixels, to_pixels, to_tensor
from diffir.data.sets import PairSet, PhotoSet
from diffir.evaluation import psnr, round_to_8_bit
from diffir.images import read
from diffir.inference.devices import to_device
from diffir.inference.padding import pad_to_multiple
from diffir.losses import pixel_l1
from diffir.model import DiffIRConfig, DiffIRS2
from diffir.recipe import Phase
from diffir.training.ema import average_of, update_average
from diffir.training.schedules import learning_rate

LITE = DiffIRConfig(
    dim=28, num_blocks=(4, 1, 1, 1), num_refinement_blocks=2, cpen_blocks=2, cpen_reduction=2
)
SMALL = replace(LITE, dim=24, num_blocks=(3, 1, 1, 1))
DEEP = replace(LITE, dim=24, num_blocks=(6, 1, 1, 1), num_refinement_blocks=6)
WIDE = replace(LITE, dim=32, num_blocks=(4, 1, 1, 0), num_refinement_blocks=4)
SHAPES = {"dim 24 [3,1,1,1] r2": SMALL, "dim 28 [4,1,1,1] r2": LITE}
MORE = {
    "dim 24 [6,1,1,1] r6": DEEP,
    "dim 32 [4,1,1,0] r4": WIDE,
    "dim 16 [3,1,1,1] r2": replace(SMALL, dim=16),
    "dim 24, C' 128": replace(SMALL, ipr_dim=512),
    "dim 24, C' 16": replace(SMALL, ipr_dim=64),
}
SAME_SIZE = {
    "full resolution, dim 24": replace(SMALL, cpen_reduction=1),
    "half, dim 24": replace(SMALL, unshuffle=2, upscale=2, cpen_reduction=1),
    "half, dim 28": replace(LITE, unshuffle=2, upscale=2, cpen_reduction=1),
    "half, dim 16": replace(SMALL, dim=16, unshuffle=2, upscale=2, cpen_reduction=1),
}
CANDIDATES: dict[str, dict[str, DiffIRConfig]] = {
    "sr-x4": {name: replace(config, upscale=4) for name, config in (SHAPES | MORE).items()},
    "sr-x2": {
        **{f"plain, {n}": replace(config, upscale=2) for n, config in SHAPES.items()},
        **{f"half, {n}": replace(config, upscale=4, unshuffle=2) for n, config in SHAPES.items()},
    },
    "deblur": SAME_SIZE,
    "inpaint": {
        name: replace(config, in_channels=4, global_residual=False)
        for name, config in SAME_SIZE.items()
    },
}
CHOSEN = {
    "sr-x4": "dim 24 [3,1,1,1] r2",
    "sr-x2": "half, dim 24 [3,1,1,1] r2",
    "deblur": "half, dim 24",
    "inpaint": "half, dim 24",
}
"""The sizes of the lite presets."""
BATCH, HOLE = 8, 48


class Pair(NamedTuple):
    """LQ (H, W, 3) and GT (H·scale, W·scale, 3)."""

    lq: Pixels
    gt: Pixels


def pixels_of(path: Path) -> Pixels:
    """The colours of a picture."""
    return rgb_pixels(read(path))


def bicubic_pair(gt: Pixels, scale: int) -> Pair:
    """GT, cut to a multiple of the scale, and its MATLAB-bicubic reduction, rounded to 8 bits."""
    height, width = (side - side % scale for side in gt.shape[:2])
    gt = gt[:height, :width]
    return Pair(to_pixels(imresize(to_tensor(gt), 1 / scale)), gt)


def blurred(folder: Path) -> list[Pair]:
    """The pairs of a folder with `blur` and `sharp`."""
    return [
        Pair(pixels_of(path), pixels_of(folder / "sharp" / path.name))
        for path in sorted((folder / "blur").iterdir())
    ]


def centre(pixels: Pixels, size: int = 288) -> Pixels:
    """The middle of a picture."""
    top, left = ((side - size) // 2 for side in pixels.shape[:2])
    return pixels[top : top + size, left : left + size]


def source_of(task: str, data: Path, scale: int) -> Source:
    """What a task learns from."""
    if task == "deblur":
        pairs = data / "train/deblur_pairs"
        return open_sets([PairSet(gt=pairs / "sharp", lq=pairs / "blur")], scale=scale)
    return open_sets([PhotoSet(photos=data / "train/photos/bsds500")], scale=scale)


def judged_pairs(task: str, data: Path) -> list[Pair]:
    """What it is judged by; for inpainting both sides are the whole picture."""
    if task == "deblur":
        return blurred(data / "val/deblur_pairs")
    judged = [pixels_of(path) for path in picture_files([data / "val/sr/B100/HR"])[:15]]
    if task == "inpaint":
        return [Pair(centre(p), centre(p)) for p in judged]
    return [bicubic_pair(p, int(task[-1])) for p in judged]


def holes_like(image: Tensor, offset: int) -> Tensor:
    """A box of HOLE pixels every two, (B, 1, H, W), 1 = hole."""
    mask = torch.zeros_like(image[:, :1])
    for top in range(offset, image.shape[2], 2 * HOLE):
        for left in range(offset, image.shape[3], 2 * HOLE):
            mask[:, :, top : top + HOLE, left : left + HOLE] = 1
    return mask


def masked(image: Tensor, mask: Tensor) -> Tensor:
    """What an inpainting network sees."""
    return torch.cat([image * (1 - mask), mask], dim=1)


def train(task: str, config: DiffIRConfig, source: Source, seconds: float) -> DiffIRS2:
    """Train for so many CPU seconds; the averaged weights."""
    torch.manual_seed(0)
    model = to_device(DiffIRS2(config), torch.device("cpu"))
    average = average_of(model)
    size = {"sr-x4": 32, "sr-x2": 32}.get(task, 96)
    # At scale 1 bicubic leaves GT as it is; deblurring has pairs, inpainting is masked below.
    feed = Feed(source=source, degradation=Bicubic(), scale=config.scale)
    batches = Stream(feed, lambda _step: (size, BATCH), (0,)).batches(0, 10**9)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.99))

    def step(index: int, rate: float) -> None:
        batch = next(batches)
        lq = masked(batch.gt, holes_like(batch.gt, 24)) if task == "inpaint" else batch.lq
        noise = torch.randn(BATCH, config.ipr_dim, generator=torch.Generator().manual_seed(index))
        with torch.autocast("cpu", torch.bfloat16):
            loss = pixel_l1(
                model(lq.contiguous(memory_format=torch.channels_last), noise), batch.gt
            )
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        update_average(average, model, min(0.998, (index + 1) / (index + 10)))

    step(0, 1e-5)
    began = time.process_time()
    for index in range(1, 4):
        step(index, 1e-5)
    steps = int(seconds / ((time.process_time() - began) / 3))
    phase = Phase(steps=steps, learning_rate=8e-4, warmup_steps=30, batch_size=BATCH, lq_size=size)
    for index in range(steps):
        step(index + 4, learning_rate(phase, index))
    return average


@torch.inference_mode()
def judge(task: str, model: DiffIRS2, pairs: list[Pair]) -> tuple[float, float]:
    """Mean PSNR, and CPU seconds per megapixel of the result in float32."""
    values, seconds, pixels = [], 0.0, 0
    for pair in pairs:
        lq, gt = to_tensor(pair.lq), to_tensor(pair.gt)
        mask = holes_like(gt, 24) if task == "inpaint" else torch.ones_like(gt[:, :1])
        lq = masked(gt, mask) if task == "inpaint" else lq
        began = time.process_time()
        noise = torch.zeros(1, model.config.ipr_dim)
        padded = pad_to_multiple(lq, model.config.multiple_of)
        restored = model(padded.contiguous(memory_format=torch.channels_last), noise)
        seconds += time.process_time() - began
        pixels += gt.shape[2] * gt.shape[3]
        restored = round_to_8_bit(restored[..., : gt.shape[2], : gt.shape[3]])
        restored = torch.where(mask > 0, restored, gt)
        is_sr = task.startswith("sr")
        border = model.config.scale if is_sr else 0
        share = mask.mean().log10() * 10  # of the picture to inside the holes
        values.append(float(psnr(restored, gt, border=border, y_channel=is_sr) + share))
    return float(np.mean(values)), seconds / pixels * 1e6


class Result(NamedTuple):
    """What a candidate costs, in CPU seconds per megapixel of the result, and its PSNR in dB."""

    name: str
    cost: float
    score: float


def results_of(task: str, data: Path, seconds: float) -> list[Result]:
    """Every candidate of a task, trained and judged; a row of Markdown printed for each."""
    judged = judged_pairs(task, data)
    print(f"\n| {task} | parameters | CPU s / megapixel | PSNR |\n| --- | --- | --- | --- |")
    results = []
    for name, config in CANDIDATES[task].items():
        model = train(task, config, source_of(task, data, config.scale), seconds)
        score, cost = judge(task, model, judged)
        count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
        print(f"| {name} | {count:.2f} M | {cost:.1f} | {score:.2f} |", flush=True)
        results.append(Result(name, cost, score))
    return results


def front(results: list[Result]) -> list[Result]:
    """Those that are better than all that cost less, cheapest first."""
    best = list[Result]()
    for result in sorted(results, key=lambda result: (result.cost, -result.score)):
        if not best or result.score > best[-1].score:
            best.append(result)
    return best


def draw(results: dict[str, list[Result]], file: Path) -> None:
    """A panel for each task, its candidates numbered."""
    figure = Figure(figsize=(7, 2.6 * len(results)), layout="constrained")
    panels = figure.subplots(len(results), 1, squeeze=False)[:, 0]
    for axes, (task, of_task) in zip(panels, results.items(), strict=True):
        best = front(of_task)
        axes.plot([r.cost for r in best], [r.score for r in best], color="0.7", zorder=1)
        for number, result in enumerate(of_task, start=1):
            colour = "C3" if result.name == CHOSEN[task] else "C0"
            mark = {"marker": f"${number}$", "s": 70, "color": colour, "zorder": 2}
            axes.scatter(result.cost, result.score, label=result.name, **mark)
        axes.set(title=task, xlabel="CPU seconds per megapixel", ylabel="PSNR [dB]")
        axes.set_xlim(left=0)
        axes.margins(y=0.15)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8)
    figure.savefig(file, dpi=90)


def main() -> None:
    """Train and judge the candidates of the tasks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("tasks", choices=CANDIDATES, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="a PNG of the fronts")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = {
        task: results_of(task, arguments.data, arguments.seconds) for task in arguments.tasks
    }
    if arguments.output:
        draw(results, arguments.output)


if __name__ == "__main__":
    main()
