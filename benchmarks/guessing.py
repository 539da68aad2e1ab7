"""How well stage 2 learns to guess the Z of a teacher, alone and within minutes.

    python benchmarks/guessing.py runs/prior/deblur/seed0/ours/prior-deblur-stage1.safetensors \\
        --train PHOTOS --val PHOTOS --seeds 3

CPEN and chain of tiny networks learn from a teacher of `benchmarks/prior.py deblur`; no restorer is
there. Printed, as Markdown, mean ± standard error over seeds, after the same number of steps of
Adam on the same crops: the share of Z's variance over crops of other photos that Ẑ explains (R²,
all numbers together), for crops as large as those learnt from, and of twice the side.
"""

import argparse
from dataclasses import replace
from typing import Any

import torch
from prior import preset_for
from reading import JUDGED, SIDE, asked_of, batches
from small_budget import told
from torch import Tensor, nn

from diffir.data import Batch
from diffir.loading import load
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2
from diffir.training.initial import he_initialised

Changes = dict[str, Any]
USUAL, QUICK = 6e-4, 2e-3
V1: Changes = {"timesteps": 0}
CORRECTS: Changes = {"denoiser_residual": True}
DEEPER: Changes = CORRECTS | {"denoiser_layers": 3}
ROWS: dict[str, tuple[Changes, float]] = {
    "V1: CPEN alone": (V1, USUAL),
    "T = 4": ({}, USUAL),
    "T = 4, corrects CPEN": (CORRECTS, USUAL),
    "the same, three layers": (DEEPER, USUAL),
    "V1, rate × 3.3": (V1, QUICK),
    "T = 4, rate × 3.3": ({}, QUICK),
    "T = 4, corrects CPEN, three layers, rate × 3.3": (DEEPER, QUICK),
    "the same, T = 1": (DEEPER | {"timesteps": 1}, QUICK),
}


def config_of(teacher: DiffIRConfig, changes: Changes) -> DiffIRConfig:
    """The network for use of a teacher's."""
    plain: Changes = {"denoiser_residual": False, "denoiser_layers": 1, "timesteps": 4}
    return replace(teacher, **(plain | changes))


def guessed(model: DiffIRS2, batch: Batch, start: Tensor) -> Tensor:
    """Ẑ (B, 4C'), by the chain from `start` or by CPEN alone."""
    with torch.autocast("cpu", torch.bfloat16):
        return model.estimate_ipr(batch.lq, start).float()


@torch.no_grad()
def true(teacher: DiffIRS1, batch: Batch) -> Tensor:
    """Z (B, 4C')."""
    return teacher.extract_ipr(batch.lq, batch.gt)


def learn(
    model: DiffIRS2, teacher: DiffIRS1, rate: float, seed: int, arguments: argparse.Namespace
) -> None:
    """Train what makes the prior, by L1 to the teacher's."""
    parameters = [p for name, p in model.named_parameters() if not name.startswith("dirformer")]
    optimizer = torch.optim.Adam(parameters, lr=rate, betas=(0.9, 0.99), fused=True)
    steps = arguments.steps
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.05)
    generator = torch.Generator().manual_seed(seed)
    preset = preset_for("deblur", 1, 1, seed)
    for batch in batches(preset, arguments.train, seed, steps):
        ipr = true(teacher, batch)
        start = torch.randn(ipr.shape, generator=generator)
        if model.config.timesteps:
            start = model.diffusion.add_noise(ipr, start)
        torch.autograd.backward((guessed(model, batch, start) - ipr).abs().mean())
        nn.utils.clip_grad_norm_(parameters, 5)
        optimizer.step()
        optimizer.zero_grad()
        rates.step()


@torch.no_grad()
def explained(model: DiffIRS2, teacher: DiffIRS1, words: list[str], side: int) -> float:
    """R² of Ẑ, from noise as in use, over crops of other photos."""
    generator = torch.Generator().manual_seed(0)
    found, wanted = list[Tensor](), list[Tensor]()
    for batch in batches(preset_for("deblur", 1, 1, 0), words, 0, JUDGED, side):
        wanted.append(true(teacher, batch))
        found.append(guessed(model, batch, torch.randn(wanted[-1].shape, generator=generator)))
    iprs = torch.cat(wanted)
    wrong = (torch.cat(found) - iprs).square().sum()
    return 1 - float(wrong / (iprs - iprs.mean(dim=0)).square().sum())


def row(
    teacher: DiffIRS1, changes: Changes, rate: float, arguments: argparse.Namespace
) -> list[list[float]]:
    """R² by size of crops and by seed."""
    by_seed = []
    for seed in range(arguments.seeds):
        torch.manual_seed(seed)
        model = DiffIRS2(config_of(teacher.config, changes))
        he_initialised(model)
        learn(model, teacher, rate, seed, arguments)
        by_seed.append([explained(model, teacher, arguments.val, s) for s in (SIDE, 2 * SIDE)])
    return [list(of_side) for of_side in zip(*by_seed, strict=True)]


def main() -> None:
    """Teach all, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("teacher")
    arguments = asked_of(parser)
    torch.set_num_threads(1)
    teacher = load(arguments.teacher)
    assert isinstance(teacher, DiffIRS1)
    print(f"| stage 2 | R², {SIDE}² | R², {2 * SIDE}² |\n| --- | --- | --- |")
    for name, (changes, rate) in ROWS.items():
        sides = row(teacher, changes, rate, arguments)
        cells = [told(each, 3) for each in sides]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
