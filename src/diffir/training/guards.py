"""Guards: a run that has gone wrong stops with a sentence, its last good state untouched."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from diffir.errors import RecipeError

EXPLOSION = 100.0  # times the median gradient of before
REMEMBERED = 20  # reports over which that median is taken
ENOUGH = 5  # reports before it means anything
PINNED = 0.99  # accuracy at which a discriminator teaches nothing any more


@dataclass
class Guard:
    """Watches the reports of a phase; none of it changes what is learnt."""

    phase: str
    collapse_after: int | None = None
    """Steps in a row that a discriminator may tell all pictures apart."""
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
        self.check_gradient(step, means.get("gradient", 0.0))
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

    def wrong(self, step: int, what: str) -> RecipeError:
        """The error for a training that diverges."""
        return RecipeError(
            f"{self.phase}: {what} at step {step}; the last good state is kept; "
            f"train anew with a lower {self.phase}.learning_rate or gradient_clip"
        )
