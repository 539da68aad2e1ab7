"""Guards: stop a run that has gone wrong with a clear message, and keep its last good state."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from lightning_fabric import Fabric

from diffir.errors import DeviceError, RecipeError
from diffir.inference.devices import is_out_of_memory

EXPLOSION = 100.0  # times the median of earlier gradient norms
REMEMBERED = 20  # reports over which that median is taken
ENOUGH = 5  # reports before it is used
PINNED = 0.99  # accuracy from which a discriminator no longer helps the network
WORKER_ENDED = "DataLoader worker (pid"  # the beginning of torch's message when one was killed
PEER_ENDED = ("Connection closed by peer", "Connection reset", "remote process")
"""Parts of Gloo's and NCCL's messages when another process of the run has ended."""


@dataclass
class Guard:
    """Checks the reports of a phase; it does not influence the training."""

    phase: str
    collapse_after: int | None = None
    """Steps in a row for which the discriminator may classify all pictures correctly."""
    warmup_steps: int = 0
    """Steps in which the discriminator is trained alone, which do not count."""
    gradients: list[float] = field(default_factory=list)
    pinned_since: int | None = None

    def check(self, step: int, means: Mapping[str, float]) -> None:
        """Check the means since the last report; `gradient` is its norm before clipping.

        Raises:
            RecipeError: when the training has diverged or its discriminator has won.
        """
        broken = [name for name, value in means.items() if not math.isfinite(value)]
        if broken:
            verb = "is" if len(broken) == 1 else "are"
            raise self.wrong(step, f"{' and '.join(broken)} {verb} not finite")
        if "gradient" in means:  # not while a discriminator is trained alone
            self.check_gradient(step, means["gradient"])
        if step > self.warmup_steps:
            self.check_accuracy(step, means.get("accuracy", 0.0))

    def check_gradient(self, step: int, norm: float) -> None:
        """Raise RecipeError for a gradient far larger than before."""
        usual = median(self.gradients) if len(self.gradients) >= ENOUGH else math.inf
        if norm > EXPLOSION * usual > 0:
            raise self.wrong(step, f"the gradient explodes ({norm:.3g}, before {usual:.3g})")
        self.gradients = [*self.gradients, norm][-REMEMBERED:]

    def check_accuracy(self, step: int, accuracy: float) -> None:
        """Raise RecipeError for a discriminator that has long classified everything correctly."""
        if self.collapse_after is None or accuracy < PINNED:
            self.pinned_since = None
        elif self.pinned_since is None:
            self.pinned_since = step
        elif step - self.pinned_since >= self.collapse_after:
            raise RecipeError(
                f"{self.phase}: the discriminator has classified all pictures correctly since step "
                f"{self.pinned_since}, so the network no longer learns from it (step {step}); the "
                f"last good state is kept; start a new run with a lower "
                f"{self.phase}.adversary.learning_rate or weight"
            )

    def state_dict(self) -> dict[str, Any]:
        """What was seen so far; without it, a run that is stopped often would never be checked."""
        return {"gradients": self.gradients, "pinned_since": self.pinned_since}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a saved state."""
        self.gradients = [float(norm) for norm in state["gradients"]]
        self.pinned_since = state["pinned_since"]

    def wrong(self, step: int, what: str) -> RecipeError:
        """The error for a training that diverges."""
        return RecipeError(
            f"{self.phase}: {what} at step {step}; the last good state is kept; "
            f"start a new run with a lower {self.phase}.learning_rate or gradient_clip"
        )


@contextmanager
def failures_explained(fabric: Fabric) -> Iterator[None]:
    """Turn torch's errors for lack of memory, and for processes that ended, into ours.

    Raises:
        DeviceError: when memory does not suffice, or another process of the run has ended.
    """
    try:
        yield
    except (MemoryError, RuntimeError, ConnectionError, EOFError) as error:
        if is_out_of_memory(error):
            raise DeviceError(
                f"{fabric.device} has not enough memory for this training; the last good state is "
                f"kept; split batches into parts (--accumulate 4), add --recompute, or start a new "
                f"run with a smaller batch_size or network"
            ) from error
        # Python's pipe errors come from data workers; those between processes are RuntimeErrors
        if isinstance(error, ConnectionError | EOFError) or WORKER_ENDED in str(error):
            raise DeviceError(
                "a data worker was killed, usually because memory ran out; the last good state is "
                "kept; resume with fewer workers (--workers 0)"
            ) from error
        if fabric.world_size > 1 and any(words in str(error) for words in PEER_ENDED):
            raise DeviceError(
                "another process of this run ended; its own message is above; the last good state "
                "is kept"
            ) from error
        raise
