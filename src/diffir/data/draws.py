"""Random numbers, seeded by a seed, a stream's name, and the picture's index in the global batch.

So a picture's draws do not depend on how many pictures of its batch are made here, nor on the
worker or rank, and a resumed run draws the same numbers as an uninterrupted one.
"""

import itertools
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

Facts: TypeAlias = dict[str, float | str]
"""What was drawn for a picture, by name."""


class Draw(np.random.Generator):
    """A generator that records what was drawn, for previews and probes of the prior."""

    def __init__(self, bits: np.random.BitGenerator) -> None:
        super().__init__(bits)
        self.facts: Facts = {}


def note(draw: np.random.Generator, **facts: float | str) -> None:
    """Record facts about the picture that `draw` belongs to, if it is a `Draw`.

    A fact recorded twice is numbered: `blur_sigma`, `blur_sigma_2`.
    """
    if not isinstance(draw, Draw):
        return
    for name, fact in facts.items():
        names = itertools.chain([name], (f"{name}_{times}" for times in itertools.count(2)))
        free = next(known for known in names if known not in draw.facts)
        draw.facts[free] = fact


def generator(seed: tuple[int, ...], stream: str, *key: int) -> Draw:
    """The generator of one stream of draws; other streams and keys are independent of it."""
    # A spawn key, because NumPy pads short seeds with zeros: (*seed, 0) would equal seed.
    spawn_key = (int.from_bytes(stream.encode(), "big"), *key)
    sequence = np.random.SeedSequence(list(seed), spawn_key=spawn_key)
    return Draw(np.random.PCG64(sequence))


def noise_generator(draw: np.random.Generator, device: torch.device) -> torch.Generator:
    """A torch generator of noise for a picture on a device.

    For a GPU it is on the GPU, since the CPU would be the bottleneck; so their noise differs.
    """
    home = device if device.type == "cuda" else torch.device("cpu")
    return torch.Generator(home).manual_seed(int(draw.integers(2**63)))


@dataclass(frozen=True)
class Draws:
    """The draws of one batch."""

    seed: tuple[int, ...]
    """In training (run, phase, step)."""
    indices: tuple[int, ...]
    """Of these pictures in the global batch."""
    alone: bool = False
    """Whether each picture is its own batch and shares no draws with others of the seed."""

    def shared(self, stream: str) -> Draw:
        """The generator of the draws that all pictures of the global batch share.

        Raises:
            ValueError: when `alone` is set for several pictures.
        """
        if not self.alone:
            return generator(self.seed, stream)
        (index,) = self.indices
        return generator(self.seed, f"{stream}, alone", index)

    def own(self, stream: str) -> list[Draw]:
        """A generator for each of these pictures."""
        return [generator(self.seed, stream, index) for index in self.indices]
