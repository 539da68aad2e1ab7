"""Probing a network's prior: its information and its benefit over other Z, and the modulation.

N pictures, Z (N, 4C'), T steps.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
import torch
from torch import Tensor

from diffir.data import Batch
from diffir.data.draws import Facts
from diffir.data.facts import labels_of
from diffir.data.parallel import Watch, unwatched
from diffir.inference.devices import pick_device, to_device
from diffir.inference.padding import pad_to_multiple
from diffir.model import DiffIRS1, DiffIRS2, IPRModulation

from .linear_probes import effective_rank, is_probed, read_off
from .probe_pictures import degradation_for, networks_of, pictures_for
from .probe_report import QUANTILES, FactRead, Modulated, ProbeReport, Score, Spread, Step
from .protocol import guessed_ipr_steps, placed, restored_with, score, true_ipr

LEVELS = {
    "encoders.0": "level 1, down",
    "encoders.1": "level 2, down",
    "encoders.2": "level 3, down",
    "latent": "latent",
    "decoders.0": "level 3, up",
    "decoders.1": "level 2, up",
    "decoders.2": "level 1, up",
    "refinement": "refinement",
}
OTHER_SEED = 1  # of the noise, in addition to the protocol's
OWN, GUESSED, TRUE = "its own Ẑ", "guessed Ẑ", "true Z"


@dataclass(frozen=True, kw_only=True)
class Priors:
    """All Z of the pictures and their facts, float32 on the CPU."""

    steps: Tensor
    """Ẑ after each step, (T, N, 4C')."""
    condition: Tensor
    """(N, 4C')."""
    of_other_noise: Tensor
    """Ẑ of a chain from other noise, (N, 4C')."""
    true: Tensor | None
    facts: list[Facts]

    @property
    def guessed(self) -> Tensor:
        """Ẑ, (N, 4C')."""
        return self.steps[-1]


@torch.no_grad()
def probe(
    model: str,
    data: str,
    *,
    stage1: str | None = None,
    degradation: str | None = None,
    seed: int = 0,
    watch: Watch = unwatched,
) -> ProbeReport:
    """Measure the information in a stage-2 network's prior and its benefit.

    Args:
        model: as for `load`, of stage 2.
        data: anything that training takes, with at least 3 pictures; sizes may differ.
        stage1: its teacher, to measure the benefit of the true Z.
        degradation: a key of `DEGRADATIONS` for pictures without LQ; None: as in its training.
        seed: of degradation and probes.
        watch: shows progress, twice.

    Raises:
        WeightsError: when a network can't be loaded, or is of the wrong stage.
        DataError, PictureError: when the pictures are too few or bad, or the degradation unfit.
    """
    checkpoint, network, teacher = networks_of(model, stage1)
    described, makes = degradation_for(degradation, checkpoint)
    pictures, notes = pictures_for(data, checkpoint.task, checkpoint.config.scale, makes, seed)
    if all(entry.lq for _, entry in pictures.entries):
        described = "the data's own LQ"
    device = pick_device()
    network = to_device(network, device)
    teacher = to_device(teacher, device) if teacher else None
    count = len(pictures)
    priors = read(network, teacher, watch(pictures, "reading Z", count), device)
    facts = facts_read(priors, seed)
    if not facts:
        notes.append("no fact about LQ is known for enough pictures and differs between them")
    asked = watch(pictures, "restoring", count)
    return ProbeReport(
        model=model,
        stage1=stage1,
        data=data,
        degradation=described,
        seed=seed,
        pictures=count,
        scores=scores_of(network, teacher, priors, asked, device),
        spreads=spreads_of(priors),
        facts=facts,
        modulation=modulation_of(network, priors.guessed.to(device)),
        steps=steps_of(priors),
        steps_lead_to=GUESSED if priors.true is None else TRUE,
        other_noise=noise_moves(priors) if network.config.timesteps else None,
        notes=notes,
    )


def read(
    network: DiffIRS2, teacher: DiffIRS1 | None, pictures: Iterable[Batch], device: torch.device
) -> Priors:
    """All Z of the pictures, and their facts."""
    steps, others = list[Tensor](), list[Tensor]()
    conditions, true, facts = list[Tensor](), list[Tensor](), list[Facts]()
    for picture in pictures:
        pair = placed(picture, device)
        lq = pad_to_multiple(pair.lq, network.config.multiple_of)
        steps.append(guessed_ipr_steps(network, pair).float().cpu())
        others.append(guessed_ipr_steps(network, pair, OTHER_SEED)[-1].float().cpu())
        conditions.append(network.extract_condition(lq).float().cpu())
        if teacher is not None:
            true.append(true_ipr(teacher, pair).float().cpu())
        facts += picture.facts or ({},)
    return Priors(
        steps=torch.cat(steps, dim=1),
        of_other_noise=torch.cat(others),
        condition=torch.cat(conditions),
        true=torch.cat(true) if true else None,
        facts=facts,
    )


def handed_to(
    network: DiffIRS2, teacher: DiffIRS1 | None, priors: Priors
) -> list[tuple[str, str, DiffIRS1 | DiffIRS2, Tensor]]:
    """Names of restorer and Z, the restorer, and Z for each picture (N, 4C'); own Ẑ first."""
    own, use = priors.guessed, "network for use"
    rows: list[tuple[str, str, DiffIRS1 | DiffIRS2, Tensor]] = [(use, OWN, network, own)]
    if network.config.timesteps:
        rows += [
            (use, "the Ẑ of another noise", network, priors.of_other_noise),
            (use, "CPEN's guess, no diffusion", network, priors.condition),
        ]
    rows += [
        (use, "another picture's Ẑ", network, own.roll(-1, dims=0)),
        (use, "the mean Ẑ", network, mean_of(own)),
        (use, "zero", network, torch.zeros_like(own)),
    ]
    if teacher is None or priors.true is None:
        return rows
    restorers: tuple[tuple[str, DiffIRS1 | DiffIRS2], ...] = ((use, network), ("stage 1", teacher))
    for name, restorer in restorers:
        rows += [
            (name, "the true Z", restorer, priors.true),
            (name, "another picture's true Z", restorer, priors.true.roll(-1, dims=0)),
            (name, "the mean true Z", restorer, mean_of(priors.true)),
        ]
    return rows


def mean_of(ipr: Tensor) -> Tensor:
    """The mean over pictures, repeated for each: (N, 4C')."""
    return ipr.mean(dim=0).expand_as(ipr)


def scores_of(
    network: DiffIRS2,
    teacher: DiffIRS1 | None,
    priors: Priors,
    pictures: Iterable[Batch],
    device: torch.device,
) -> list[Score]:
    """Scores with every Z."""
    rows = handed_to(network, teacher, priors)
    values: list[list[float]] = [[] for _ in rows]
    for index, picture in enumerate(pictures):
        pair = placed(picture, device)
        for found, (_, _, restorer, iprs) in zip(values, rows, strict=True):
            restored = restored_with(iprs[index : index + 1].to(device), restorer, pair)
            found.append(score(restored, pair, network.config.scale))
    scores = []
    for (restorer_name, ipr, _, _), found in zip(rows, values, strict=True):
        apart = [
            mine - own if mine != own else 0.0 for mine, own in zip(found, values[0], strict=True)
        ]
        finite = all(map(math.isfinite, apart))  # a perfectly restored picture has ∞ dB
        scores.append(
            Score(
                restorer=restorer_name,
                ipr=ipr,
                psnr=fmean(found),
                difference=fmean(apart),
                error=stdev(apart) / math.sqrt(len(apart)) if finite else math.nan,
            )
        )
    return scores


def known_iprs(priors: Priors) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Ẑ, and Z if it is known, (N, 4C') each."""
    iprs = {GUESSED: priors.guessed} | ({} if priors.true is None else {TRUE: priors.true})
    return {name: ipr.double().numpy() for name, ipr in iprs.items()}


def spreads_of(priors: Priors) -> list[Spread]:
    """How much Z varies over pictures."""
    spreads = []
    for name, ipr in known_iprs(priors).items():
        std, size = ipr.std(axis=0, ddof=1), np.abs(ipr).mean(axis=0)
        of_each = std / np.maximum(size, np.finfo(np.float64).tiny)
        spreads.append(
            Spread(
                ipr=name,
                relative=float(std.mean() / size.mean()),
                quantiles=tuple(np.quantile(of_each, QUANTILES).tolist()),
                rank=effective_rank(ipr),
            )
        )
    return spreads


def facts_read(priors: Priors, seed: int) -> list[FactRead]:
    """How well linear probes predict facts from Z."""
    iprs = known_iprs(priors)
    return [
        FactRead(
            fact=fact,
            pictures=int(np.isfinite(label).sum()),
            readings={name: read_off(ipr, label, seed) for name, ipr in iprs.items()},
        )
        for fact, label in labels_of(priors.facts).items()
        if is_probed(label)
    ]


def modulation_of(network: DiffIRS2, ipr: Tensor) -> list[Modulated]:
    """How much each level's scales and shifts vary with Ẑ (N, 4C'), mean over its blocks."""
    found = []
    for place_, level in LEVELS.items():
        modulations = [
            module
            for module in network.dirformer.get_submodule(place_).modules()
            if isinstance(module, IPRModulation)
        ]
        both = [module.scale_and_shift(ipr) for module in modulations]
        if both:
            scale, shift = (fmean(map(relative_spread, part)) for part in zip(*both, strict=True))
            found.append(Modulated(level=level, scale=scale, shift=shift))
    return found


def relative_spread(values: Tensor) -> float:
    """Mean standard deviation over N, divided by the mean magnitude, of (N, C)."""
    return float(values.std(dim=0).mean() / values.abs().mean())


def steps_of(priors: Priors) -> list[Step]:
    """The distance from the target after each step of the chain."""
    goal = priors.guessed if priors.true is None else priors.true
    distances = (priors.steps - goal).abs().mean(dim=(1, 2)).tolist()
    size = float(goal.abs().mean())
    return [
        Step(step=number, distance=distance, relative=distance / size)
        for number, distance in enumerate(distances, start=1)
    ]


def noise_moves(priors: Priors) -> Step:
    """The distance between the results of two noises."""
    distance = float((priors.of_other_noise - priors.guessed).abs().mean())
    relative = distance / float(priors.guessed.abs().mean())
    return Step(step=len(priors.steps), distance=distance, relative=relative)
