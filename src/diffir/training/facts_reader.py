"""A loss that keeps the parameters of the degradation ("facts") in Z: a linear layer reads them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from diffir.data.degradations import MakesPairs
from diffir.data.draws import Draws, Facts
from diffir.data.facts import Numbers, labels_of, words_of
from diffir.errors import RecipeError

SAMPLE = 32  # pictures from which the mean and standard deviation of facts are estimated


class FactsReader(nn.Module):
    """A linear layer from Z (B, 4C') to the facts of a degradation, each with variance 1."""

    def __init__(self, degradation: MakesPairs, scale: int, side: int, ipr_dim: int) -> None:
        """Build.

        Args:
            degradation: how LQ is made.
            scale: size of GT relative to LQ.
            side: of the crops of GT for which facts are drawn.
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
                "leave it out, or widen the degradation's ranges"
            )
        self.mean: Tensor
        self.std: Tensor
        means = [float(np.nanmean(labels[name])) for name in self.names]
        self.register_buffer("mean", torch.tensor(means))
        self.register_buffer("std", torch.tensor([spread[name] for name in self.names]))
        self.layer = nn.Linear(ipr_dim, len(self.names))

    def forward(self, ipr: Tensor, facts: Sequence[Facts]) -> Tensor:
        """The mean squared error of all facts (B, number of facts), 0 for unknown ones.

        Unknown ones count in the mean, so that a batch may be split into parts or over processes.

        Raises:
            ValueError: when there is not one entry of facts for each Z.
        """
        if len(facts) != len(ipr):
            raise ValueError(f"{len(facts)} facts found for {len(ipr)} pictures; give one for each")
        true = self.standardised(facts).to(ipr.device)
        known = true.isfinite()
        errors = torch.where(known, self.layer(ipr.float()) - true.nan_to_num(), 0.0)
        return errors.square().mean()

    def knows_of(self, facts: Sequence[Facts]) -> bool:
        """Whether any fact of these pictures is known."""
        return bool(self.standardised(facts).isfinite().any())

    def standardised(self, facts: Sequence[Facts]) -> Tensor:
        """Facts with mean 0 and variance 1, (B, number of facts), NaN where unknown."""
        labels = labels_of(facts, self.words)
        unknown: Numbers = np.full(len(facts), np.nan)
        columns = [torch.from_numpy(labels.get(name, unknown)).float() for name in self.names]
        return (torch.stack(columns, dim=1) - self.mean.cpu()) / self.std.cpu()


def sample_of(degradation: MakesPairs, scale: int, side: int) -> list[Facts]:
    """Facts drawn for gray pictures, one by one, as a batch would share some of them."""
    side += 2 * degradation.margin(scale)
    gray = torch.full((1, 3, side, side), 0.5)
    return [
        fact
        for index in range(SAMPLE)
        for fact in degradation.batch(gray, scale, Draws((0,), (index,), alone=True)).facts
    ]
