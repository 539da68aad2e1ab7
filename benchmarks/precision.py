"""What bfloat16 costs a trained network: its distance to float32, and the loss against GT.

    python benchmarks/precision.py sr-x4-lite --lq DATA/Set14/LR_x4 --gt DATA/Set14/HR

Pictures are matched by name, GT cut at the right and below to what the network gives. Distance is
the PSNR of the two results, not rounded; loss the difference of their mean PSNR to GT, rounded to 8
bits, RGB, no border.
"""

import argparse
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from diffir.evaluation import psnr, round_to_8_bit
from diffir.images import read
from diffir.inference import Restorer


def tensor(path: Path) -> Tensor:
    """(1, 3, H, W) in [0, 1]; gray becomes three equal channels."""
    pixels = torch.from_numpy(read(path).pixels).permute(2, 0, 1)[None]
    return pixels.expand(-1, 3, -1, -1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--lq", type=Path, required=True)
    parser.add_argument("--gt", type=Path, required=True)
    arguments = parser.parse_args()
    exact = Restorer.from_pretrained(arguments.model)
    faster = Restorer.from_pretrained(arguments.model, precision="bfloat16")
    truths = {path.stem: path for path in arguments.gt.iterdir()}
    distances, losses = [], []
    for path in sorted(arguments.lq.iterdir()):
        lq = tensor(path)
        one, other = (each.restore_batch(lq, seeds=[0]) for each in (exact, faster))
        height, width = one.shape[-2:]
        gt = tensor(truths[path.stem])[..., :height, :width]
        distances.append(float(psnr(other, one)))
        scores = [float(psnr(round_to_8_bit(each), gt)) for each in (one, other)]
        losses.append(scores[0] - scores[1])
    print(f"{arguments.model}, {len(losses)} pictures, bfloat16 against float32:")
    print(f"distance {fmean(distances):.1f} dB (least {min(distances):.1f})")
    print(f"loss {fmean(losses):+.4f} dB (largest {max(losses):+.4f})")


if __name__ == "__main__":
    main()
