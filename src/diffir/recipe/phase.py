"""Phase: one run of the training loop."""

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from diffir.data import Values
from diffir.data.settings import Positive, named

from .losses import ADVERSARIES, Adversary, Decay, Perceptual
from .schedules import Cosine, Schedule

Named = BeforeValidator(named(ADVERSARIES))


class Growth(Values):
    """Other batch and crop sizes from a step on: progressive training."""

    from_step: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    lq_size: int = Field(gt=0)


class Phase(Values):
    """One run of the training loop: linear warm-up of the learning rate, then its schedule."""

    steps: int = Field(ge=0)
    learning_rate: Positive
    warmup_steps: int = Field(default=0, ge=0)
    schedule: Schedule = Cosine()
    """Of the learning rate, from the end of the warm-up."""
    adam_betas: tuple[Decay, Decay] = (0.9, 0.99)
    batch_size: int = Field(gt=0)
    """Of the global batch, over all processes."""
    lq_size: int = Field(gt=0, description="side of the square LQ crops, in pixels")
    growth: tuple[Growth, ...] = ()
    """Later sizes of batch and crops, by rising steps."""
    perceptual: Perceptual | None = None
    """A loss added to the pixel loss; its network's weights have to be on the machine."""
    adversary: Annotated[Adversary | None, Named] = None

    @model_validator(mode="after")
    def grows_in_order(self) -> "Phase":
        """Refuse steps of growth that do not rise."""
        steps = [growth.from_step for growth in self.growth]
        if steps != sorted(set(steps)):
            raise ValueError(f"growth from steps {steps} found; each has to be later than the last")
        return self

    def sizes(self, step: int) -> tuple[int, int]:
        """(side of the LQ crops, pictures in the batch) at a step."""
        reached = [growth for growth in self.growth if growth.from_step <= step]
        now = reached[-1] if reached else self
        return now.lq_size, now.batch_size

    def all_sizes(self) -> set[tuple[int, int]]:
        """All values of `sizes`."""
        return {self.sizes(step) for step in (0, *(g.from_step for g in self.growth))}
