"""Guards: a run that has gone wrong stops with a sentence, its last good state untouched."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch

from diffir.errors import DeviceError, RecipeError
from diffir.inference.devices import is_out_of_memory

EXPLOSION = 100.0  # times the median gradient of before
REMEMBERED = 20  # reports over which that median is taken
ENOUGH = 5  # reports before it means anything
PINNED = 0.99  # accuracy at which a discriminator teaches nothing any more
WORKER_ENDED = "DataLoader worker (pid"  # so begins what torch says of one that was killed


@dataclass
class Guard:
    """Watches the reports of a phase; none of it changes what is learnt."""

    phase: str
    collapse_after: int | None = None
    """Steps in a row that a discriminator may tell all pictures apart."""
    warmup_steps: int = 0
    """Steps in which it learns alone, and shall tell them apart."""
    gradients: list[float] = field(default_factory=list)
    pinned_since: int | None = None

    def check(self, step: int, means: Mapping[str, float]) -> None:
        """Look at the means since the last report; `gradient` is its norm before clipping.

        Raises:
            RecipeError: when the run can't end well.
        """
        broken = [name for name, value in means.items() if not math.isfinite(value)]
        if broken:
            verb = "is" if len(broken) == 1 else "are"
            raise self.wrong(step, f"{' and '.join(broken)} {verb} not finite")
        if "gradient" in means:  # while a discriminator learns alone there is none
            self.check_gradient(step, means["gradient"])
        if step > self.warmup_steps:
            self.check_accuracy(step, means.get("accuracy", 0.0))

    def check_gradient(self, step: int, norm: float) -> None:
        """Refuse a gradient far beyond what it used to be."""
        usual = median(self.gradients) if len(self.gradients) >= ENOUGH else math.inf
        if norm > EXPLOSION * usual > 0:
            raise self.wrong(step, f"the gradient explodes ({norm:.3g}, it used to be {usual:.3g})")
        self.gradients = [*self.gradients, norm][-REMEMBERED:]

    def check_accuracy(self, step: int, accuracy: float) -> None:
        """Refuse a discriminator that has long told all pictures apart."""
        if self.collapse_after is None or accuracy < PINNED:
            self.pinned_since = None
        elif self.pinned_since is None:
            self.pinned_since = step
        elif step - self.pinned_since >= self.collapse_after:
            raise RecipeError(
                f"{self.phase}: the discriminator has told all pictures apart since step "
                f"{self.pinned_since} and teaches nothing (step {step}); the last good state is "
                f"kept; train anew with a lower {self.phase}.adversary.learning_rate or weight"
            )

    def state_dict(self) -> dict[str, Any]:
        """What was seen so far; without it a run that is often stopped would never be judged."""
        return {"gradients": self.gradients, "pinned_since": self.pinned_since}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on as the guard whose state it is."""
        self.gradients = [float(norm) for norm in state["gradients"]]
        self.pinned_since = state["pinned_since"]

    def wrong(self, step: int, what: str) -> RecipeError:
        """The error for a training that diverges."""
        return RecipeError(
            f"{self.phase}: {what} at step {step}; the last good state is kept; "
            f"train anew with a lower {self.phase}.learning_rate or gradient_clip"
        )


@contextmanager
def lack_of_memory_told(device: torch.device) -> Iterator[None]:
    """Train within: a sentence says what lacked memory, the training or what makes its batches.

    Raises:
        DeviceError: in place of what torch raises then.
    """
    try:
        yield
    except (MemoryError, RuntimeError, ConnectionError, EOFError) as error:
        if is_out_of_memory(error):
            raise DeviceError(
                f"{device} has not enough memory for this training; the last good state is kept; "
                f"learn from batches in parts (--accumulate 4) or with --recompute, or train anew "
                f"with a smaller batch_size or network"
            ) from error
        # A pipe that breaks is a worker's: who trains in several processes says so by torch
        if isinstance(error, ConnectionError | EOFError) or WORKER_ENDED in str(error):
            raise DeviceError(
                "a process that makes batches was ended from outside, most often because memory "
                "is short; the last good state is kept; go on with fewer of them (--workers 0)"
            ) from error
        raise
