"""The loop that all phases share: batch, losses, step, average, log, save."""

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from diffir.data import Batch, Feed, Stream
from diffir.errors import RecipeError
from diffir.recipe import Phase, Recipe

from .ema import average_of, update_average
from .schedules import learning_rate
from .stages import Stage
from .state import load_state, save_state

logger = logging.getLogger(__name__)

Validate = Callable[[nn.Module], dict[str, float]]
"""Scores of a network by name, say PSNR per set."""
Parts = dict[str, nn.Module | torch.optim.Optimizer | Stream]
"""What a phase saves and resumes, by name."""


class StoppedError(Exception):
    """The run was asked to stop, and has saved where it is; the message says that."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where a run lives and how often it speaks; none of it changes what is learnt."""

    folder: Path
    device: torch.device
    log_every: int = 50
    save_every: int = 250
    validate: Validate | None = None
    validate_every: int = 1000
    stop: Event = field(default_factory=Event)
    """Once set, the run saves its state after the step under way and raises StoppedError."""
    skipped: dict[str, str] = field(default_factory=dict)
    """A sentence for each picture that could not be learnt from, by its name."""


def run_phase(
    name: str, index: int, stage: Stage, phase: Phase, recipe: Recipe, feed: Feed, run: Run
) -> nn.Module:
    """Train one phase to its end, from its saved state where there is one, and return the average.

    The same recipe gives the same weights on the same machine, stopped and resumed or not: every
    draw comes from (seed, phase index, step).

    Raises:
        RecipeError: when a loss is not finite, naming the step.
        DataError: when a batch can't be made.
        StoppedError: when the run was asked to stop.
    """
    model, average = stage.model, average_of(stage.model)
    optimizer = torch.optim.Adam(stage.trainable(), lr=phase.learning_rate, betas=phase.adam_betas)
    stream = Stream(feed, phase.sizes, (recipe.seed, index))
    parts: Parts = {"model": model, "average": average, "optimizer": optimizer, "stream": stream}
    state_file = run.folder / f"{name}.state.pt"
    start = restored_step(parts, load_state(state_file, run.device))
    if start:
        logger.info("%s goes on at step %d", name, start)
    began, window = time.monotonic(), list[dict[str, Tensor]]()
    batches = zip(range(start, phase.steps), stream.batches(start, phase.steps), strict=True)
    for step, batch in batches:
        seed, rate = (recipe.seed, index, step), learning_rate(phase, step)
        window.append(train_step(stage, optimizer, rate, batch, recipe, seed))
        update_average(average, model, min(recipe.ema_decay, (step + 1) / (step + 10)))
        done, last = step + 1, step + 1 == phase.steps
        if last or done % run.log_every == 0:
            pace = (time.monotonic() - began) / (done - start)
            report(run, name, phase, done, rate, means_of(window, name, done), pace)
            window.clear()
        if run.validate and (last or done % run.validate_every == 0):
            scores = run.validate(average)
            log(run, {"phase": name, "step": done, **scores})
            logger.info("%s %d  %s", name, done, scores)
        if last or run.stop.is_set() or done % run.save_every == 0:
            states = {key: part.state_dict() for key, part in parts.items()}
            save_state({"step": done, **states}, state_file)
        if run.stop.is_set():
            raise StoppedError(f"stopped after step {done} of {name}; the same command goes on")
    run.skipped.update(stream.skipped)
    return average


def restored_step(parts: Parts, state: dict[str, Any] | None) -> int:
    """Put the saved state, if there is one, into the parts; the step to go on with."""
    if state is None:
        return 0
    for key, part in parts.items():
        part.load_state_dict(state[key])
    return int(state["step"])


def means_of(window: list[dict[str, Tensor]], name: str, step: int) -> dict[str, float]:
    """The mean of each loss over the steps since the last report.

    Raises:
        RecipeError: when one is not finite.
    """
    means = {key: float(torch.stack([x[key] for x in window]).mean()) for key in window[0]}
    if not all(math.isfinite(value) for value in means.values()):
        raise RecipeError(
            f"{name}: a loss is not finite at step {step} ({means}); "
            f"train anew with a lower learning_rate"
        )
    return means


def report(
    run: Run,
    name: str,
    phase: Phase,
    done: int,
    rate: float,
    losses: dict[str, float],
    pace: float,
) -> None:
    """One line for people and one for the log."""
    log(run, {"phase": name, "step": done, "rate": rate, **losses, "seconds": pace})
    logger.info(
        "%s %d/%d  %s  rate %.1e  %.2f s a step, %d min left",
        *(name, done, phase.steps),
        "  ".join(f"{key} {value:.5f}" for key, value in losses.items()),
        *(rate, pace, pace * (phase.steps - done) / 60),
    )


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
    batch = batch.map(partial(placed, device=device))
    noise = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    for group in optimizer.param_groups:
        group["lr"] = rate
    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        losses = stage.losses(batch, noise)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(sum(losses.values(), torch.zeros((), device=device)))
    if recipe.gradient_clip is not None:
        nn.utils.clip_grad_norm_(stage.trainable(), recipe.gradient_clip)
    optimizer.step()
    return {key: value.detach() for key, value in losses.items()}


def placed(image: Tensor, device: torch.device) -> Tensor:
    """Pictures where and how the network wants them: channels last is faster on CPUs and GPUs."""
    return image.to(device, memory_format=torch.channels_last)


def log(run: Run, values: dict[str, Any]) -> None:
    """Append one line to the run's log."""
    with (run.folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")
