"""Where random numbers come from: a seed, a stream, and the picture's index in the global batch.

So a picture's draws depend neither on how many pictures its batch holds here nor on the worker or
rank that makes it, and a run that resumes draws what an unbroken one draws.
"""

import itertools
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

Facts: TypeAlias = dict[str, float | str]
"""What was drawn for a picture, by name."""


class Draw(np.random.Generator):
    """A generator that remembers what was drawn, for previews and for probes of the prior."""

    def __init__(self, bits: np.random.BitGenerator) -> None:
        super().__init__(bits)
        self.facts: Facts = {}


def note(draw: np.random.Generator, **facts: float | str) -> None:
    """Remember facts about the picture that `draw` belongs to, where it remembers any.

    What happens twice to a picture is numbered: `blur_sigma`, `blur_sigma_2`.
    """
    if not isinstance(draw, Draw):
        return
    for name, fact in facts.items():
        names = itertools.chain([name], (f"{name}_{times}" for times in itertools.count(2)))
        free = next(known for known in names if known not in draw.facts)
        draw.facts[free] = fact


def generator(seed: tuple[int, ...], stream: str, *key: int) -> Draw:
    """The generator of one stream of draws; other streams and keys are independent of it."""
    # By spawn keys: in lists NumPy fills short seeds with zeros, so (*seed, 0) would be seed.
    spawn_key = (int.from_bytes(stream.encode(), "big"), *key)
    sequence = np.random.SeedSequence(list(seed), spawn_key=spawn_key)
    return Draw(np.random.PCG64(sequence))


def noise_generator(draw: np.random.Generator, device: torch.device) -> torch.Generator:
    """A generator of noise for a picture on a device.

    It lives there on a GPU, where the CPU would be the bottleneck: GPUs and CPUs see other noise.
    """
    home = device if device.type == "cuda" else torch.device("cpu")
    return torch.Generator(home).manual_seed(int(draw.integers(2**63)))


@dataclass(frozen=True)
class Draws:
    """The draws of one batch."""

    seed: tuple[int, ...]
    """(run, phase, step), say."""
    indices: tuple[int, ...]
    """Of the pictures at hand in the global batch."""
    alone: bool = False
    """Whether a picture is a batch of its own: it has nothing in common with others of the seed."""

    def shared(self, stream: str) -> Draw:
        """The generator of what all pictures of the global batch have in common.

        Raises:
            ValueError: when several pictures are said to be alone.
        """
        if not self.alone:
            return generator(self.seed, stream)
        (index,) = self.indices
        return generator(self.seed, f"{stream}, alone", index)

    def own(self, stream: str) -> list[Draw]:
        """A generator for each picture at hand."""
        return [generator(self.seed, stream, index) for index in self.indices]
