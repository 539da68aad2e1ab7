"""Learning-rate schedules after the warm-up: cosine, milestones, restarts."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from diffir.data import Values
from diffir.data.settings import NotNegative, Positive


class Cosine(Values):
    """Half a cosine from the learning rate to the final one, at the end of the phase."""

    kind: Literal["cosine"] = "cosine"
    final_learning_rate: NotNegative = 1e-6


class Milestones(Values):
    """The learning rate is multiplied by a factor at each of some steps; without any, constant."""

    kind: Literal["milestones"] = "milestones"
    steps: tuple[Annotated[int, Field(gt=0)], ...] = ()
    factor: Positive = 0.5


class Restarts(Values):
    """Consecutive cosines, each from the learning rate to its own final rate.

    With a final rate above the learning rate it rises, as in the authors' deblurring.
    """

    kind: Literal["restarts"] = "restarts"
    periods: tuple[Annotated[int, Field(gt=0)], ...] = Field(min_length=1)
    """Steps of each; after the last one, its final rate stays until the end of the phase."""
    final_learning_rates: tuple[NotNegative, ...]

    @model_validator(mode="after")
    def one_each(self) -> "Restarts":
        """Refuse different numbers of periods and final rates."""
        if len(self.periods) != len(self.final_learning_rates):
            raise ValueError(
                f"{len(self.periods)} periods and {len(self.final_learning_rates)} final learning "
                f"rates found; give one for each period"
            )
        return self


Schedule = Annotated[Cosine | Milestones | Restarts, Field(discriminator="kind")]
