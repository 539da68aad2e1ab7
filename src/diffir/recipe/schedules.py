"""How a learning rate goes after its warm-up: cosine, milestones, restarts."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from diffir.data import Values
from diffir.data.settings import NotNegative, Positive


class Cosine(Values):
    """Half a cosine from the learning rate down to the final one, at the end of the phase."""

    kind: Literal["cosine"] = "cosine"
    final_learning_rate: NotNegative = 1e-6


class Milestones(Values):
    """The learning rate times a factor from each of some steps on; without any, constant."""

    kind: Literal["milestones"] = "milestones"
    steps: tuple[Annotated[int, Field(gt=0)], ...] = ()
    factor: Positive = 0.5


class Restarts(Values):
    """Cosines one after the other, each from the learning rate to a final one of its own.

    A final rate above the learning rate makes it rise, as in the authors' deblurring.
    """

    kind: Literal["restarts"] = "restarts"
    periods: tuple[Annotated[int, Field(gt=0)], ...] = Field(min_length=1)
    """Steps of each; the last final rate is kept where they end before the phase."""
    final_learning_rates: tuple[NotNegative, ...]

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
