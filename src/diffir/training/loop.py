"""The loop that all phases share: batch, losses, step, average, log, validate, save."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from diffir.data import Batch, Draws, Feed, Stream
from diffir.errors import StoppedError, WeightsError
from diffir.inference.devices import usable_precision
from diffir.inference.memory import peak_of_process
from diffir.recipe import PHASES, Recipe

from .adversary import DiscriminatorStage
from .criteria import Terms
from .ema import average_of, update_average
from .guards import Guard
from .learner import Learner
from .log import RunLog
from .run import Run, Validate
from .schedules import learning_rate
from .sharding import average_like, full_state, load_full_state, whole_network
from .stages import Noise, Stage
from .state import States

logger = logging.getLogger(__name__)

Part = tuple[Batch, Noise]
"""Some pictures of a batch, and the noise drawn for them."""
AGREE_EVERY = 10  # steps between exchanges of whether any process was asked to stop


def run_phase(
    name: str,
    stage: Stage,
    recipe: Recipe,
    feed: Feed,
    run: Run,
    adversary: DiscriminatorStage | None = None,
) -> nn.Module:
    """Train one phase to its end, from its saved state if there is one, and return the average.

    The same recipe gives the same weights on the same machine, interrupted or not: every draw
    comes from (seed, phase, step, index in the global batch).

    Raises:
        RecipeError: when the training diverges or its discriminator wins, naming the step.
        DataError: when a batch can't be made.
        StoppedError: when the run was asked to stop.
    """
    return PhaseRun(name, stage, recipe, feed, run, adversary).to_the_end()


class PhaseRun:
    """A running phase: everything that changes during it."""

    def __init__(
        self,
        name: str,
        stage: Stage,
        recipe: Recipe,
        feed: Feed,
        run: Run,
        adversary: DiscriminatorStage | None,
    ) -> None:
        self.name, self.stage, self.recipe, self.run = name, stage, recipe, run
        self.phase = recipe.phases()[name]
        self.fabric = run.fabric
        self.precision = usable_precision(recipe.precision, self.fabric.device)
        self.seed = (recipe.seed, 1 + PHASES.index(name))
        average = average_of(stage.model).to(self.fabric.device)
        self.learner = self.learner_of(stage, self.phase.learning_rate, self.phase.adam_betas)
        self.average = average_like(average, stage.model)
        self.discriminator: Learner | None = None
        if adversary is not None:
            rate, betas = adversary.settings.learning_rate, adversary.settings.adam_betas
            self.discriminator = self.learner_of(adversary, rate, betas)
        self.stream = Stream(feed, self.phase.sizes, self.seed)
        self.states = States(run.folder, name)
        self.log = RunLog(run.folder) if self.fabric.is_global_zero else None
        self.guard = guard_of(name, adversary)
        self.best = -float("inf")
        """The highest PSNR so far, on `best_on`."""
        self.best_on = [*run.validated_on]
        self.window: list[Terms] = []

    def learner_of(self, stage: nn.Module, rate: float, betas: tuple[float, float]) -> Learner:
        """A stage with its optimizer, in the recipe's precision where the device supports it."""
        return Learner(
            self.fabric,
            stage,
            learning_rate=rate,
            adam_betas=betas,
            clip=self.recipe.gradient_clip,
            bfloat16=self.precision == "bfloat16",
            compiled=self.run.compiled,
        )

    def to_the_end(self) -> nn.Module:
        """Train all remaining steps."""
        run, steps, start = self.run, self.phase.steps, self.resume()
        began = time.monotonic()
        batches = self.stream.batches(start, steps)
        for step, batch in zip(range(start, steps), batches, strict=True):
            self.window.append(self.step(step, batch))
            done, last = step + 1, step + 1 == steps
            stopping = self.stopping(done)
            saving = last or stopping or done % run.save_every == 0
            if saving or done % run.log_every == 0:
                self.report(done, (time.monotonic() - began) / (done - start))
            if run.validate and (last or done % run.validate_every == 0):
                self.validate(done, run.validate)
            if saving:
                self.save(done)
            if stopping:
                raise StoppedError(
                    f"stopped after step {done} of {self.name}; the same command resumes the run"
                )
        if self.log:
            self.log.close()
        run.skipped.update(self.stream.skipped)
        return whole_network(self.average)

    def step(self, step: int, batch: Batch) -> Terms:
        """One step of the network, and of its discriminator if it has one."""
        parts = [*self.parts(batch, self.stream.steps.draws(step))]
        if self.phase.adversary is None:
            return self.network_step(step, parts)[0]
        if step < self.phase.adversary.warmup_steps:
            with torch.no_grad():
                restored = [self.learner.forward(part)[1] for part in parts]
            return self.discriminator_step(step, parts, restored)
        terms, restored = self.network_step(step, parts)
        return {**self.discriminator_step(step, parts, restored), **terms}

    def network_step(self, step: int, parts: list[Part]) -> tuple[Terms, list[Tensor]]:
        """Update the network and its average; returns the terms and the restored pictures."""
        terms, restored = self.learner.step(parts, learning_rate(self.phase, step))
        decay = min(self.recipe.ema_decay, (step + 1) / (step + 10))
        update_average(self.average, self.stage.model, decay)
        return terms, restored

    def discriminator_step(self, step: int, parts: list[Part], restored: list[Tensor]) -> Terms:
        """Update the discriminator on the same pictures; returns its terms."""
        assert self.discriminator is not None
        assert self.phase.adversary is not None
        with_r1 = step % self.phase.adversary.r1_every == 0
        pairs = [
            (part[0], made.detach(), with_r1) for part, made in zip(parts, restored, strict=True)
        ]
        share = learning_rate(self.phase, step) / self.phase.learning_rate
        rate = share * self.phase.adversary.learning_rate
        terms, accuracies = self.discriminator.step(pairs, rate)
        del terms["gradient"]  # the guard checks the network's
        return terms | {"accuracy": torch.stack(accuracies).mean()}

    def parts(self, batch: Batch, draws: Draws) -> Iterator[Part]:
        """A batch (this process's share) in parts, each with its noise, on the device."""
        size, device = len(batch.gt), self.fabric.device
        length = -(-size // self.run.accumulate)
        for first in range(0, size, length):
            part = slice(first, first + length)
            mine = replace(draws, indices=draws.indices[part])
            noise = {key: drawn.to(device) for key, drawn in self.stage.noise(mine).items()}
            yield batch.part(part).map(partial(placed, device=device)), noise

    def stopping(self, done: int) -> bool:
        """Whether to stop now; all processes stop at the same step, whichever was asked to."""
        if self.fabric.world_size == 1:
            return self.run.stop.is_set()
        if done % AGREE_EVERY:
            return False
        asked = torch.tensor(float(self.run.stop.is_set()), device=self.fabric.device)
        return bool(self.fabric.all_reduce(asked, reduce_op="sum"))

    def report(self, done: int, pace: float) -> None:
        """Check the steps since the last report, and write them to the logs.

        Raises:
            RecipeError: when the training has gone wrong.
        """
        means = self.means()
        self.guard.check(done, means)
        self.window.clear()
        if self.log is None:
            return
        rate, memory = learning_rate(self.phase, done - 1), peak_memory(self.fabric.device)
        facts = {"rate": rate, "seconds": pace, "memory": memory}
        self.log.scalars(self.name, done, {**means, **facts})
        logger.info(
            "%s %d/%d  %s  rate %.1e  %.2f s per step, %.1f GB, %s left",
            *(self.name, done, self.phase.steps),
            "  ".join(f"{key} {value:.5f}" for key, value in means.items()),
            *(rate, pace, memory, in_words(pace * (self.phase.steps - done))),
        )

    def means(self) -> dict[str, float]:
        """The mean of each term over the steps since the last report, and over all processes."""
        names = dict.fromkeys(name for terms in self.window for name in terms)
        means = {
            name: torch.stack([terms[name] for terms in self.window if name in terms]).mean()
            for name in names
        }
        shared = self.fabric.all_reduce(means)
        assert isinstance(shared, dict)
        return {name: float(mean) for name, mean in shared.items()}

    def validate(self, done: int, validate: Validate) -> None:
        """Score the average, log it and keep the best; other processes wait for the first."""
        average = whole_network(self.average)
        if self.log is not None:
            scores, pictures = validate(average, getattr(self.stage, "teacher", None))
            self.log.scalars(self.name, done, scores)
            for name, picture in pictures.items():
                self.log.picture(self.name, done, name, picture)
            words = "  ".join(f"{name} {score:.3f}" for name, score in scores.items())
            logger.info("%s %d  %s", self.name, done, words)
            if scores["psnr"] > self.best:
                self.best = scores["psnr"]
                self.run.keep_best(self.name, average, self.best)
        self.fabric.barrier()

    def held(self) -> dict[str, Any]:
        """The networks and optimizers to save and resume, by name."""
        learners = {"": self.learner, "opponent_": self.discriminator}  # names of saved states
        held: dict[str, Any] = {"average": self.average}
        if self.stage.reader is not None:
            held["reader"] = self.stage.reader
        for prefix, learner in learners.items():
            if learner is not None:
                network = getattr(learner.stage, "model")  # noqa: B009  (a module's attribute)
                held |= {f"{prefix}model": network, f"{prefix}optimizer": learner.optimizer}
        return held

    def save(self, done: int) -> None:
        """Save the state: each process its stream, then the first everything they share."""
        rank = self.fabric.global_rank
        own = {"stream": self.stream.state_dict(), "step": done}
        if rank:
            self.states.save(own, done, rank)
        shared = {name: full_state(part) for name, part in self.held().items()}
        self.fabric.barrier()
        if rank == 0:
            best = {"best": self.best, "best_on": self.best_on}
            guard = self.guard.state_dict()
            self.states.save({**own, **shared, **best, "guard": guard}, done)
            self.states.rotate()
        self.fabric.barrier()

    def resume(self) -> int:
        """Load the saved state, if there is one; returns the step to continue with."""
        device, rank = self.fabric.device, self.fabric.global_rank
        state = self.states.newest(device)
        step = 0
        if state is not None:
            try:
                for name, part in self.held().items():
                    load_full_state(part, state[name])
                step = int(state["step"])
                self.resume_best(float(state["best"]), state.get("best_on", self.best_on))
                if "guard" in state:  # older states lack both
                    self.guard.load_state_dict(state["guard"])
            except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
                raise WeightsError(
                    f"the state of {self.name} in {self.states.folder} does not fit this network "
                    f"({type(error).__name__}); remove it to start without it"
                ) from error
            own = self.states.of_rank(step, rank, device) if rank else state
            if own is not None:  # else there were fewer processes: start with an empty pair pool
                self.stream.load_state_dict(own["stream"])
        if rank == 0:  # a kill may have come between saving and rotating
            self.states.rotate()
        if self.log and step < self.phase.steps:  # a finished phase keeps its log
            self.log.rewind(self.name, step)
            if step:
                logger.info("%s resumes at step %d", self.name, step)
        return step

    def resume_best(self, best: float, best_on: list[str]) -> None:
        """Take over the best score, unless it now would be compared with one on other data."""
        if self.best_on in ([], best_on):
            self.best, self.best_on = best, best_on


def guard_of(name: str, adversary: DiscriminatorStage | None) -> Guard:
    """The guard of a phase, and of its discriminator if it has one."""
    if adversary is None:
        return Guard(name)
    settings = adversary.settings
    return Guard(name, settings.collapse_after, settings.warmup_steps)


def placed(images: Tensor, device: torch.device) -> Tensor:
    """Pictures on the device, in channels last."""
    return images.to(device, memory_format=torch.channels_last)


def peak_memory(device: torch.device) -> float:
    """Peak memory of the process in GB; on a GPU, of the GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return (peak_of_process() or 0) / 1e9


def in_words(seconds: float) -> str:
    """`3 h 20 min`, `20 min`, `15 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"
