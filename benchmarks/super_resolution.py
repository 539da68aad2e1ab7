"""Scores of an SR network on benchmark folders, picture by picture, and what its prior carries.

    python benchmarks/super_resolution.py sr-x4-lite DATA/Set5 DATA/Set14 DATA/B100
    python benchmarks/super_resolution.py sr-x4-lite ... --stage1 FILE --train PHOTOS

Each benchmark folder holds `HR` and `LR_x4` (MATLAB-bicubic) with equal names, whatever the suffix.
Protocol of the SR papers: PSNR on the Y channel of 8-bit pictures, a border of `scale` pixels left
out; mean over pictures. Bicubic is MATLAB's, as in the papers. With --stage1, also the PSNR of the
stage-1 network with the true Z (it sees the ground truth), with another picture's Z, and with the
mean Z of training crops: a restorer that uses its prior loses by them.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffir.data import Bicubic, Feed, Stream, data_sets, imresize, open_sets
from diffir.evaluation import psnr, round_to_8_bit
from diffir.images import read
from diffir.inference import Restorer
from diffir.inference.padding import pad_to_multiple
from diffir.inference.planes import split
from diffir.loading import load
from diffir.model import DiffIRS1

MEAN_OF = 256  # training crops whose mean Z is taken


def as_tensor(path: Path) -> Tensor:
    """(1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(split(read(path)))).permute(2, 0, 1)[None]


def pairs(folder: Path, scale: int) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(name, LQ, GT) of a benchmark, GT cut to the size that LQ has times the scale."""
    truths = {path.stem: path for path in (folder / "HR").iterdir()}
    for path in sorted((folder / f"LR_x{scale}").iterdir()):
        lq = as_tensor(path)
        height, width = (side * scale for side in lq.shape[-2:])
        yield path.stem, lq, as_tensor(truths[path.stem])[..., :height, :width]


def score(restored: Tensor, gt: Tensor, scale: int) -> float:
    """PSNR in dB by the protocol above."""
    return float(psnr(round_to_8_bit(restored), gt, border=scale, y_channel=True))


@torch.inference_mode()
def stage1_scores(model: DiffIRS1, folder: Path, mean_ipr: Tensor) -> dict[str, float]:
    """Mean PSNR of stage 1 with the picture's own Z, the next picture's, and the mean Z."""
    scale, multiple = model.config.scale, model.config.multiple_of
    found = list(pairs(folder, scale))
    padded = [
        (pad_to_multiple(lq, multiple), pad_to_multiple(gt, multiple * scale))
        for _, lq, gt in found
    ]
    iprs = [model.extract_ipr(lq, gt) for lq, gt in padded]
    choices = {"true Z": iprs, "other Z": iprs[1:] + iprs[:1], "mean Z": [mean_ipr] * len(iprs)}
    means = {}
    for name, chosen in choices.items():
        values = []
        for (_, _, gt), (lq, _), ipr in zip(found, padded, chosen, strict=True):
            restored = model.dirformer(lq, ipr)[..., : gt.shape[-2], : gt.shape[-1]]
            values.append(score(restored, gt, scale))
        means[name] = float(np.mean(values))
    stacked = torch.cat(iprs)
    means["spread of Z"] = float(stacked.std(dim=0).mean() / stacked.abs().mean())
    return means


def mean_ipr_of(model: DiffIRS1, photos: list[Path]) -> Tensor:
    """The mean Z of training crops of 128 GT pixels, (1, 4C')."""
    scale = model.config.scale
    source = open_sets(data_sets(map(str, photos)), scale=scale)
    feed = Feed(source=source, degradation=Bicubic(), scale=scale)
    (batch,) = Stream(feed, lambda _step: (32, MEAN_OF), (0,)).batches(0, 1)
    with torch.inference_mode():
        return model.extract_ipr(batch.lq, batch.gt).mean(dim=0, keepdim=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--stage1", type=Path)
    parser.add_argument("--train", type=Path, nargs="+", default=[])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    restorer = Restorer.from_pretrained(arguments.model, device="cpu")
    print(f"{'set':8} {'pictures':>8} {'bicubic':>8} {'stage 2':>8} {'least gain':>11}")
    for folder in arguments.folders:
        rows = []
        for _, lq, gt in pairs(folder, restorer.scale):
            restored = restorer.restore_batch(lq, seeds=[arguments.seed])
            enlarged = imresize(lq.double(), restorer.scale)
            rows.append([score(enlarged, gt, restorer.scale), score(restored, gt, restorer.scale)])
        bicubic, ours = np.array(rows).T
        print(
            f"{folder.name:8} {len(rows):8} {bicubic.mean():8.2f} {ours.mean():8.2f} "
            f"{(ours - bicubic).min():+11.2f}",
            flush=True,
        )
    if not arguments.stage1:
        return
    model = load(arguments.stage1)
    if not isinstance(model, DiffIRS1):
        raise SystemExit(f"{arguments.stage1} is no stage-1 network")
    mean_ipr = mean_ipr_of(model, arguments.train)
    for folder in arguments.folders:
        values = stage1_scores(model, folder, mean_ipr)
        print(f"{folder.name:8} stage 1:", "  ".join(f"{k} {v:.3f}" for k, v in values.items()))


if __name__ == "__main__":
    main()
