"""What is known of how LQ was made, read off Z by one linear layer: a loss that keeps it in Z."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from diffir.data.degradations import MakesPairs
from diffir.data.draws import Draws, Facts
from diffir.data.facts import Numbers, labels_of, words_of
from diffir.errors import RecipeError

SAMPLE = 32  # pictures, by which is told how large facts are and how far they differ


class FactsReader(nn.Module):
    """A linear layer from Z (B, 4C') to the facts of a degradation, each with variance 1."""

    def __init__(self, degradation: MakesPairs, scale: int, side: int, ipr_dim: int) -> None:
        """Build.

        Args:
            degradation: how LQ is made.
            scale: how much larger GT is than LQ.
            side: of the crops of GT, as large as facts are drawn for.
            ipr_dim: 4C'.

        Raises:
            RecipeError: when the degradation draws nothing that differs between pictures.
        """
        super().__init__()
        sample = sample_of(degradation, scale, side)
        self.words = words_of(sample)
        labels = labels_of(sample, self.words)
        spread = {name: float(np.nanstd(label)) for name, label in labels.items()}
        self.names = [name for name in labels if spread[name] > 0]
        if not self.names:
            raise RecipeError(
                "facts_weight found with a degradation that does the same to all pictures; "
                "leave it out, or widen what is drawn"
            )
        self.mean: Tensor
        self.std: Tensor
        means = [float(np.nanmean(labels[name])) for name in self.names]
        self.register_buffer("mean", torch.tensor(means))
        self.register_buffer("std", torch.tensor([spread[name] for name in self.names]))
        self.layer = nn.Linear(ipr_dim, len(self.names))

    def forward(self, ipr: Tensor, facts: Sequence[Facts]) -> Tensor:
        """The mean squared error of all facts (B, number of facts), 0 for one that isn't known.

        Unknown ones count in the mean, so that a batch may be cut into parts or over processes.

        Raises:
            ValueError: when the facts are not one for each Z.
        """
        if len(facts) != len(ipr):
            raise ValueError(f"{len(facts)} facts found for {len(ipr)} pictures; give one for each")
        true = self.standardised(facts).to(ipr.device)
        known = true.isfinite()
        errors = torch.where(known, self.layer(ipr.float()) - true.nan_to_num(), 0.0)
        return errors.square().mean()

    def knows_of(self, facts: Sequence[Facts]) -> bool:
        """Whether a fact is known of any of these pictures."""
        return bool(self.standardised(facts).isfinite().any())

    def standardised(self, facts: Sequence[Facts]) -> Tensor:
        """(B, number of facts), NaN where one is not known."""
        labels = labels_of(facts, self.words)
        unknown: Numbers = np.full(len(facts), np.nan)
        columns = [torch.from_numpy(labels.get(name, unknown)).float() for name in self.names]
        return (torch.stack(columns, dim=1) - self.mean.cpu()) / self.std.cpu()


def sample_of(degradation: MakesPairs, scale: int, side: int) -> list[Facts]:
    """The facts of pictures of nothing, each alone, for what a batch shares would not differ."""
    side += 2 * degradation.margin(scale)
    nothing = torch.full((1, 3, side, side), 0.5)
    return [
        fact
        for index in range(SAMPLE)
        for fact in degradation.batch(nothing, scale, Draws((0,), (index,), alone=True)).facts
    ]
