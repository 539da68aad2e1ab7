"""How well CPEN learns to read off pictures what was done to them, alone and within minutes.

    python benchmarks/reading.py --train PHOTOS --val PHOTOS --seeds 3

CPEN of a network, its IPR and a linear layer behind it learn the facts of straight motion blur:
how long the path is and how it lies. Nothing else learns, and nothing is restored. Printed, as
Markdown: R² of what is read off crops of other photos, mean ± standard error over seeds, after the
same number of steps of Adam on the same crops. What CPEN can't read here, no prior can tell.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean
from typing import Any

import torch
from prior import AUTHORS, STRAIGHT, preset_for
from small_budget import told
from torch import Tensor, nn

from diffir.data import Batch, Stream
from diffir.model import DiffIRS1, DiffIRS2
from diffir.presets import Preset
from diffir.training.facts_reader import FactsReader
from diffir.training.feed import feed_of
from diffir.training.initial import he_initialised

Change = tuple[bool, dict[str, Any]]
"""Whether He's weights, and what else of the network."""

LQ: dict[str, Change] = {
    AUTHORS: (False, {}),
    "He's weights": (True, {}),
    "standardised LQ": (False, {"cpen_standardise": True}),
    "He's weights, standardised LQ": (True, {"cpen_standardise": True}),
    "the same, deviations pooled, too": (
        True,
        {"cpen_standardise": True, "cpen_pooling": "mean_std"},
    ),
    "the same, their logarithms": (
        True,
        {"cpen_standardise": True, "cpen_pooling": "mean_log_std"},
    ),
}
BOTH: dict[str, Change] = {
    AUTHORS: (False, {}),
    "He's weights, standardised, logarithms": LQ["the same, their logarithms"],
    "the same, residual to LQ for GT": (
        True,
        {"cpen_standardise": True, "cpen_pooling": "mean_log_std", "teacher_residual": True},
    ),
}
LENGTH = "path_length"
LIES = ("path_length·cos 2θ", "path_length·sin 2θ")
BATCH, SIDE, RATE = 8, 64, 6e-4
JUDGED = 32  # batches


def extract(model: DiffIRS1 | DiffIRS2, batch: Batch) -> Tensor:
    """The IPR that CPEN makes of a batch, (B, 4C')."""
    if isinstance(model, DiffIRS1):
        return model.extract_ipr(batch.lq, batch.gt)
    return model.extract_condition(batch.lq)


def batches(
    preset: Preset, words: list[str], seed: int, steps: int, side: int = SIDE
) -> Iterator[Batch]:
    """Crops of photos, blurred."""
    feed = feed_of(preset, words, device=torch.device("cpu"))
    return Stream(feed, lambda _: (side, BATCH), (seed,)).batches(0, steps)


def learnt(
    model: DiffIRS1 | DiffIRS2, preset: Preset, words: list[str], seed: int, steps: int
) -> FactsReader:
    """Teach CPEN to tell the facts; what reads them off its IPR."""
    config = preset.config
    reader = FactsReader(STRAIGHT, config.scale, SIDE, config.ipr_dim)
    parameters = [*model.cpen.parameters(), *reader.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=RATE, betas=(0.9, 0.99), fused=True)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.05)
    for batch in batches(preset, words, seed, steps):
        with torch.autocast("cpu", torch.bfloat16):
            ipr = extract(model, batch)
        reader(ipr, batch.facts).backward()
        nn.utils.clip_grad_norm_(parameters, 5)
        optimizer.step()
        optimizer.zero_grad()
        rates.step()
    return reader


@torch.no_grad()
def read(
    model: DiffIRS1 | DiffIRS2, reader: FactsReader, preset: Preset, words: list[str]
) -> dict[str, float]:
    """R² of every fact over crops of other photos."""
    told, true = list[Tensor](), list[Tensor]()
    for batch in batches(preset, words, 0, JUDGED):
        told.append(reader.layer(extract(model, batch)))
        true.append(reader.standardised(batch.facts))
    wrong = (torch.cat(told) - torch.cat(true)).square().mean(dim=0)
    share = 1 - wrong / torch.cat(true).var(dim=0, correction=0)
    return dict(zip(reader.names, share.tolist(), strict=True))


def row(
    kind: type[DiffIRS1 | DiffIRS2],
    he: bool,
    changes: dict[str, Any],
    arguments: argparse.Namespace,
) -> list[dict[str, float]]:
    """R² by seed."""
    found = []
    for seed in range(arguments.seeds):
        preset = preset_for("deblur", 1, 1, seed)
        preset = replace(preset, config=replace(preset.config, **changes))
        torch.manual_seed(seed)
        model = kind(preset.config)
        if he:
            he_initialised(model)
        reader = learnt(model, preset, arguments.train, seed, arguments.steps)
        found.append(read(model, reader, preset, arguments.val))
    return found


def asked_of(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What is learnt from, judged by and how long, after the parser's own words."""
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--val", nargs="+", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    return parser.parse_args()


def main() -> None:
    """Teach all, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    arguments = asked_of(parser)
    torch.set_num_threads(1)
    print("| sees | CPEN | length | how it lies |\n| --- | --- | --- | --- |")
    for sees, kind, rows in (("LQ", DiffIRS2, LQ), ("LQ and GT", DiffIRS1, BOTH)):
        for name, (he, changes) in rows.items():
            seeds = row(kind, he, changes, arguments)
            length = [seed[LENGTH] for seed in seeds]
            lies = [fmean(seed[name] for name in LIES) for seed in seeds]
            cells = [told(each, 2) for each in (length, lies)]
            print(f"| {sees} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
