"""Where the priors of blurred pictures lie, and how the chain comes near them: docs/prior.png.

    python benchmarks/prior_plot.py runs/prior -o docs/prior.png

From what `benchmarks/prior.py` left of our form of seed 0 for `deblur` and `blind-sr`. Left and
middle: the first two principal components of Ẑ, which is guessed from LQ alone, of crops of the
validation photos; a point's colour is how the blur lies, its size how long it is. Right: the mean
distance of Ẑ to the true Z after each step of the chain, over Z's mean size.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from prior import OURS, TASKS
from small_budget import file_name
from torch import Tensor

from diffir.data import Batch, Draws
from diffir.data.pixels import to_tensor
from diffir.evaluation.protocol import guessed_ipr_steps, true_ipr
from diffir.loading import load
from diffir.model import DiffIRS1, DiffIRS2

COPIES = 4  # of each photo, each blurred in another way
BLURS = {"deblur": "path", "blind-sr": "blur"}
"""How the facts of a task's blur are named."""


def blurred(task: str, folder: Path) -> list[Batch]:
    """Pairs of every picture in a folder, several of each."""
    _, config, degradation = TASKS[task]
    photos = [to_tensor(np.array(Image.open(path))) for path in sorted(folder.glob("*.png"))]
    return [
        degradation.batch(gt, config.scale, Draws((copy,), (index,), alone=True))
        for index, gt in enumerate(photos)
        for copy in range(COPIES)
    ]


def guesses_of(task: str, folder: Path, pairs: list[Batch]) -> tuple[Tensor, Tensor]:
    """Ẑ of every picture, (N, 4C'), and the mean distances to Z by step, over Z's mean size."""
    network, teacher = (
        load(folder / f"prior-{task}{kind}.safetensors") for kind in ("", "-stage1")
    )
    assert isinstance(network, DiffIRS2)
    assert isinstance(teacher, DiffIRS1)
    network.eval()
    teacher.eval()
    steps = torch.stack([guessed_ipr_steps(network, pair)[:, 0] for pair in pairs])
    true = torch.stack([true_ipr(teacher, pair)[0] for pair in pairs])
    apart = (steps - true[:, None]).abs().mean(dim=(0, 2)) / true.abs().mean()
    return steps[:, -1], apart


def draw_components(axes: Axes, iprs: Tensor, pairs: list[Batch], task: str) -> None:
    """The first two principal components of (N, 4C')."""
    centred = iprs - iprs.mean(dim=0)
    _, sizes, directions = torch.linalg.svd(centred, full_matrices=False)
    places = centred @ directions[:2].T
    facts, blur = [pair.facts[0] for pair in pairs], BLURS[task]
    lengths = np.array([float(fact[f"{blur}_length"]) for fact in facts])
    axes.scatter(
        places[:, 0],
        places[:, 1],
        c=[float(fact[f"{blur}_angle"]) for fact in facts],
        s=4 + 60 * lengths / lengths.max(),
        cmap="hsv",
        vmin=0,
        vmax=180,
    )
    share = sizes[:2].square().sum() / sizes.square().sum()
    axes.set_title(f"{task}: two components hold {share:.0%}")
    axes.set_xticks([])
    axes.set_yticks([])


@torch.no_grad()
def main() -> None:
    """Guess, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for axes, task in ((left, "deblur"), (middle, "blind-sr")):
        pairs = blurred(task, arguments.runs / f"val-{task}")
        folder = arguments.runs / task / "seed0" / file_name(OURS)
        iprs, apart = guesses_of(task, folder, pairs)
        draw_components(axes, iprs, pairs, task)
        right.plot(range(1, len(apart) + 1), apart, marker="o", label=task)
    right.set_xlabel("reverse step")
    right.set_ylabel("mean |Ẑ − Z| over mean |Z|")
    right.set_xticks(range(1, len(apart) + 1))
    right.set_ylim(bottom=0)
    right.legend()
    figure.savefig(arguments.output, dpi=110)


if __name__ == "__main__":
    main()
