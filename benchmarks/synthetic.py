"""What pictures without photos are worth: one network trained on photos, on dead leaves, on both.

    python benchmarks/synthetic.py --data DATA --steps 1200

Each training is the stage-2 network of sr-x4-lite on L1 alone, from the same weights, for the same
number of steps: batch 8, crops of 128 GT pixels, LQ by the project's bicubic, bfloat16 autocast,
one thread, Adam at 8e-4 with a cosine. Every crop is drawn from (seed, step, index). DATA is laid
out as `train/photos/bsds500` and `val/sr/{Set5,Set14,B100}` with `HR` and MATLAB's `LR_x4`. Scores
are PSNR on Y of 8-bit pictures, borders of 4 pixels left out. Dead leaves invent their own colours,
so that the second row has seen no photo at all.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffir.data import Batch, Bicubic, DeadLeaves, Feed, Stream, imresize, open_sets
from diffir.data.pixels import rgb_pixels, round_to_8_bit, to_tensor
from diffir.data.sets import AnySet, PhotoSet, SyntheticSet
from diffir.evaluation import psnr
from diffir.images import read
from diffir.inference.devices import to_device
from diffir.inference.padding import pad_to_multiple
from diffir.losses import pixel_l1
from diffir.model import DiffIRS2
from diffir.presets import PRESETS
from diffir.recipe import Phase
from diffir.training.ema import average_of, update_average
from diffir.training.schedules import learning_rate

CONFIG = PRESETS["sr-x4-lite"].config
SCALE, BATCH, LQ = 4, 8, 32
SETS = ("Set5", "Set14", "B100")
KINDS = ("photos", "dead leaves", "mixture")


def batches(kind: str, data: Path, steps: int, seed: int) -> Iterator[Batch]:
    """The training batches of one kind of data; in a mixture half of the crops are of either."""
    photos = PhotoSet(photos=data / "train/photos/bsds500", weight=1)
    leaves = SyntheticSet(synthetic=DeadLeaves(), weight=1)
    chosen: dict[str, list[AnySet]] = {
        "photos": [photos],
        "dead leaves": [leaves],
        "mixture": [photos, leaves],
    }
    feed = Feed(source=open_sets(chosen[kind], scale=SCALE), degradation=Bicubic(), scale=SCALE)
    return Stream(feed, lambda _step: (LQ, BATCH), (seed,)).batches(0, steps)


def train(kind: str, data: Path, steps: int, seed: int) -> DiffIRS2:
    """The averaged weights after so many steps."""
    torch.manual_seed(seed)
    model = to_device(DiffIRS2(CONFIG), torch.device("cpu"))
    average = average_of(model)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.99))
    phase = Phase(steps=steps, learning_rate=8e-4, warmup_steps=30, batch_size=BATCH, lq_size=LQ)
    for step, batch in enumerate(batches(kind, data, steps, seed)):
        start = torch.randn(BATCH, CONFIG.ipr_dim, generator=torch.Generator().manual_seed(step))
        with torch.autocast("cpu", torch.bfloat16):
            restored = model(batch.lq.contiguous(memory_format=torch.channels_last), start)
            loss = pixel_l1(restored, batch.gt)
        optimizer.param_groups[0]["lr"] = learning_rate(phase, step)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        update_average(average, model, min(0.998, (step + 1) / (step + 10)))
    return average


def benchmark(folder: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """LQ and GT of a set, GT cut to the size that LQ has times the scale."""
    truths = {path.stem: path for path in (folder / "HR").iterdir()}
    for path in sorted((folder / f"LR_x{SCALE}").iterdir()):
        lq, gt = (to_tensor(rgb_pixels(read(file))) for file in (path, truths[path.stem]))
        yield lq, gt[..., : lq.shape[-2] * SCALE, : lq.shape[-1] * SCALE]


@torch.inference_mode()
def restored_by(model: DiffIRS2, lq: Tensor) -> Tensor:
    """What the network makes of LQ, from zeros as the starting noise."""
    padded = pad_to_multiple(lq, CONFIG.multiple_of).contiguous(memory_format=torch.channels_last)
    restored = model(padded, torch.zeros(1, CONFIG.ipr_dim))
    return restored[..., : lq.shape[-2] * SCALE, : lq.shape[-1] * SCALE]


def scores(restore: Callable[[Tensor], Tensor], data: Path) -> list[float]:
    """Mean PSNR in dB on each of the sets."""
    return [
        float(
            np.mean(
                [
                    float(psnr(round_to_8_bit(restore(lq)), gt, border=SCALE, y_channel=True))
                    for lq, gt in benchmark(data / "val/sr" / name)
                ]
            )
        )
        for name in SETS
    ]


def row(name: str, values: list[float], minutes: float) -> str:
    """A line of the table."""
    return f"| {name} | {minutes:.1f} | {' | '.join(f'{value:.2f}' for value in values)} |"


def main() -> None:
    """Print a row for each kind of training data."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"| trained on | CPU min | {' | '.join(SETS)} |\n| --- | --- | --- | --- | --- |")
    bicubic = scores(lambda lq: imresize(lq.double(), SCALE).float(), arguments.data)
    print(row("(bicubic)", bicubic, 0), flush=True)
    for kind in arguments.only:
        began = time.process_time()
        model = train(kind, arguments.data, arguments.steps, arguments.seed)
        minutes = (time.process_time() - began) / 60
        print(row(kind, scores(partial(restored_by, model), arguments.data), minutes), flush=True)


if __name__ == "__main__":
    main()
