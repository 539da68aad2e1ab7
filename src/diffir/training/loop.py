"""The loop that all phases share: batch, losses, step, average, log, save."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from diffir.data import Batch, PairCrops
from diffir.errors import RecipeError
from diffir.recipe import Phase, Recipe

from .ema import average_of, update_average
from .schedules import learning_rate
from .stages import Stage
from .state import load_state, save_state

logger = logging.getLogger(__name__)

Validate = Callable[[nn.Module], dict[str, float]]
"""Scores of a network by name, say PSNR per set."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where a run lives and how often it speaks; none of it changes what is learnt."""

    folder: Path
    device: torch.device
    log_every: int = 50
    save_every: int = 250
    validate: Validate | None = None
    validate_every: int = 1000


def run_phase(
    name: str, index: int, stage: Stage, phase: Phase, recipe: Recipe, crops: PairCrops, run: Run
) -> nn.Module:
    """Train one phase to its end, from its saved state where there is one, and return the average.

    The same recipe gives the same weights on the same machine, stopped and resumed or not: every
    draw comes from (seed, phase index, step).

    Raises:
        RecipeError: when a loss is not finite, naming the step.
    """
    state_file = run.folder / f"{name}.state.pt"
    average = average_of(stage.model)
    optimizer = torch.optim.Adam(stage.trainable(), lr=phase.learning_rate, betas=recipe.adam_betas)
    start = 0
    if state := load_state(state_file, run.device):
        stage.model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
        logger.info("%s goes on at step %d", name, start)

    began = time.monotonic()
    for step in range(start, phase.steps):
        seed = (recipe.seed, index, step)
        rate = learning_rate(phase, step)
        losses = train_step(
            stage, optimizer, rate, crops.batch(phase.batch_size, seed), recipe, seed
        )
        update_average(average, stage.model, min(recipe.ema_decay, (step + 1) / (step + 10)))
        done = step + 1
        if done % run.log_every == 0 or done == phase.steps:
            values = {key: float(value) for key, value in losses.items()}
            if not all(torch.isfinite(torch.tensor(list(values.values())))):
                raise RecipeError(
                    f"{name}: a loss is not finite at step {done} ({values}); "
                    f"resume with a lower learning_rate"
                )
            pace = (time.monotonic() - began) / (done - start)
            log(run, {"phase": name, "step": done, "rate": rate, **values, "seconds": pace})
            logger.info(
                "%s %d/%d  %s  rate %.1e  %.2f s a step, %d min left",
                *(name, done, phase.steps),
                "  ".join(f"{key} {value:.5f}" for key, value in values.items()),
                *(rate, pace, pace * (phase.steps - done) / 60),
            )
        if run.validate and (done % run.validate_every == 0 or done == phase.steps):
            scores = run.validate(average)
            log(run, {"phase": name, "step": done, **scores})
            logger.info("%s %d  %s", name, done, scores)
        if done % run.save_every == 0 or done == phase.steps:
            save_state(
                {
                    "step": done,
                    "model": stage.model.state_dict(),
                    "average": average.state_dict(),
                    "optimizer": optimizer.state_dict(),
                },
                state_file,
            )
    return average


def train_step(
    stage: Stage,
    optimizer: torch.optim.Optimizer,
    rate: float,
    batch: Batch,
    recipe: Recipe,
    seed: tuple[int, ...],
) -> dict[str, Tensor]:
    """One step of the optimizer; the losses before it, detached."""
    device = next(stage.model.parameters()).device
    batch = Batch(lq=placed(batch.lq, device), gt=placed(batch.gt, device))
    noise = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    for group in optimizer.param_groups:
        group["lr"] = rate
    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        losses = stage.losses(batch, noise)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(sum(losses.values(), torch.zeros((), device=device)))
    optimizer.step()
    return {key: value.detach() for key, value in losses.items()}


def placed(image: Tensor, device: torch.device) -> Tensor:
    """Pictures where and how the network wants them: channels last is faster on CPUs and GPUs."""
    return image.to(device, memory_format=torch.channels_last)


def log(run: Run, values: dict[str, Any]) -> None:
    """Append one line to the run's log."""
    with (run.folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")
