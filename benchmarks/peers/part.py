"""Part: a network, what it is fed, and how often it runs for one picture."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diffir.evaluation.cost import multiply_adds, parameters


@dataclass(frozen=True, kw_only=True)
class Part:
    """A method has one network, or, as latent diffusion, a few that run different times."""

    build: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    """Of its inputs."""
    more: tuple[int, ...] = ()
    """What is fed after the tensors: a time step."""
    runs: int = 1
    """How often for one picture."""
    build_on: str = "meta"
    """`cpu` for networks whose constructor reads numbers."""
    counts_parameters: bool = True
    """False for what another part of the method, the same network, has counted."""

    def cost(self) -> tuple[int, int]:
        """Parameters, and multiply-adds of all runs; nothing is computed."""
        with torch.device(self.build_on):
            network = self.build().to("meta")
        with torch.device("meta"):
            inputs: list[Tensor] = [torch.empty(shape) for shape in self.shapes]
            products = multiply_adds(network, *inputs, *self.more)
        return parameters(network) * self.counts_parameters, products * self.runs


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A method with its published sizes and random weights."""

    method: str
    """As the paper calls it, with what distinguishes this row."""
    source: str
    """The package and class, and what is special."""
    parts: tuple[Part, ...]

    def cost(self) -> tuple[int, int]:
        """Parameters and multiply-adds of one picture."""
        costs = [part.cost() for part in self.parts]
        return sum(cost[0] for cost in costs), sum(cost[1] for cost in costs)
