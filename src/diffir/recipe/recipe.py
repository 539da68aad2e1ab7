"""Recipe: how a network is trained, validated on reading."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from diffir.data import Augment, Bicubic, Degradation, Values
from diffir.data.settings import sentence
from diffir.errors import RecipeError


class Growth(Values):
    """Other crops from a step on: progressive training."""

    from_step: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    lq_size: int = Field(gt=0)


Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Cosine(Values):
    """Half a cosine from the learning rate down to the final one, at the end of the phase."""

    kind: Literal["cosine"] = "cosine"
    final_learning_rate: Rate = 1e-6


class Milestones(Values):
    """The learning rate times a factor from each of some steps on; without any, constant."""

    kind: Literal["milestones"] = "milestones"
    steps: tuple[Annotated[int, Field(gt=0)], ...] = ()
    factor: float = Field(default=0.5, gt=0)


class Restarts(Values):
    """Cosines one after the other, each from the learning rate to a final one of its own.

    A final rate above the learning rate makes it rise, as in the authors' deblurring.
    """

    kind: Literal["restarts"] = "restarts"
    periods: tuple[Annotated[int, Field(gt=0)], ...] = Field(min_length=1)
    """Steps of each; the last final rate is kept where they end before the phase."""
    final_learning_rates: tuple[Rate, ...]

    @model_validator(mode="after")
    def one_each(self) -> "Restarts":
        """Refuse other numbers of final rates than of periods."""
        if len(self.periods) != len(self.final_learning_rates):
            raise ValueError(
                f"{len(self.periods)} periods and {len(self.final_learning_rates)} final learning "
                f"rates found; one for each is wanted"
            )
        return self


Schedule = Annotated[Cosine | Milestones | Restarts, Field(discriminator="kind")]


class Phase(Values):
    """One run of the training loop: the rate rises linearly, then goes as the schedule says."""

    steps: int = Field(ge=0)
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(default=0, ge=0)
    schedule: Schedule = Cosine()
    """Of the learning rate, counted from the end of the warm-up."""
    adam_betas: tuple[float, float] = (0.9, 0.99)
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
    pixel_loss: Literal["pixel_l1", "charbonnier"] = "pixel_l1"
    """L_rec."""
    ipr_loss: Literal["ipr_l1", "ipr_l2", "ipr_kl"] = "ipr_l1"
    """L_diff; the paper compares the three."""
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
