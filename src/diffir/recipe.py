"""Recipe: how a network is trained, validated on reading."""

from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from diffir.data import Augment, Bicubic, Degradation, Values
from diffir.data.settings import sentence
from diffir.errors import RecipeError


class Growth(Values):
    """Other crops from a step on: progressive training."""

    from_step: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    lq_size: int = Field(gt=0)


class Phase(Values):
    """One run of the training loop: the rate rises linearly, then falls along a cosine."""

    steps: int = Field(ge=0)
    learning_rate: float = Field(gt=0)
    final_learning_rate: float = Field(default=1e-6, ge=0)
    warmup_steps: int = Field(default=0, ge=0)
    batch_size: int = Field(gt=0)
    """Of the global batch, whatever the number of processes that share it."""
    lq_size: int = Field(gt=0, description="side of the square LQ crops, in pixels")
    growth: tuple[Growth, ...] = ()
    """What batch and crop become later, by rising steps."""

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


class Recipe(Values):
    """The method from nothing to a stage-2 network; data, seeds and settings of all phases."""

    degradation: Degradation = Bicubic()
    """How LQ is made of photos; settings, or a name (docs/data.md)."""
    augment: Augment = Augment()

    seed: int = 0
    stage1: Phase
    """CPEN_S1 and DIRformer together, seeing the ground truth."""
    prior: Phase
    """Stage 2, CPEN_S2 and denoiser alone, on L_diff."""
    joint: Phase
    """Stage 2, everything."""
    adam_betas: tuple[float, float] = (0.9, 0.99)
    gradient_clip: float | None = Field(default=None, gt=0)
    """Largest norm of the gradient, larger ones are scaled down; None leaves all as they are."""
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is autocast: weights, optimizer and losses stay in float32."""

    def all_sizes(self) -> set[tuple[int, int]]:
        """Every (side of the LQ crops, pictures in the batch) that its phases come to."""
        phases = (self.stage1, self.prior, self.joint)
        return {p.sizes(step) for p in phases for step in (0, *(g.from_step for g in p.growth))}

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Recipe":
        """A recipe of values as files hold them; raises RecipeError where they are none."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise RecipeError(sentence(error)) from error
