"""The pair pool: mixes the pictures of batches that share sizes and order of degradation."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .batch import Batch
from .draws import Facts


class PairPool:
    """Pairs of earlier batches.

    Until it is full, batches are passed on and copied; then each batch is exchanged for pairs drawn
    from the pool. When the crop size changes, it starts empty. The pool is per-rank state, which a
    run must save to resume bit for bit.
    """

    def __init__(self, size: int = 180) -> None:
        self.size = size
        self.tensors: dict[str, Tensor] = {}
        self.facts: list[Facts] = []

    def __len__(self) -> int:
        """Pairs in the pool."""
        return len(self.tensors.get("gt", ()))

    def exchange(self, batch: Batch, draw: np.random.Generator) -> Batch:
        """Exchange a batch for one of as many pairs.

        Raises:
            ValueError: when the batch is larger than the pool.
        """
        given, facts = batch.tensors(), list(batch.facts) or [{} for _ in batch.gt]
        if len(batch.gt) > self.size:
            raise ValueError(
                f"batch of {len(batch.gt)} found; the pool holds no more than {self.size}"
            )
        if shapes(given) != shapes(self.tensors):
            self.tensors, self.facts = {}, []
        if len(self) < self.size:
            self.tensors = {
                name: torch.cat([self.tensors.get(name, tensor[:0]), tensor])[: self.size]
                for name, tensor in given.items()
            }
            self.facts = (self.facts + facts)[: self.size]
            return batch
        places = draw.choice(self.size, len(batch.gt), replace=False).tolist()
        mixed = {name: tensor[places].clone() for name, tensor in self.tensors.items()}
        kept = tuple(self.facts[place] for place in places)
        for name, tensor in given.items():
            self.tensors[name][places] = tensor
        for place, fact in zip(places, facts, strict=True):
            self.facts[place] = fact
        return Batch(**mixed, facts=kept)

    def state_dict(self) -> dict[str, Any]:
        """The pool's content."""
        return {"size": self.size, "tensors": self.tensors, "facts": self.facts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the content of another pool, on the device of its tensors.

        Raises:
            ValueError: when that pool has another size.
        """
        if state["size"] != self.size:
            raise ValueError(
                f"the state of a pool of size {state['size']} found; this one has {self.size}"
            )
        self.tensors = {name: tensor.clone() for name, tensor in state["tensors"].items()}
        self.facts = list(state["facts"])


def shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes of single pairs."""
    return {name: tuple(tensor.shape[1:]) for name, tensor in tensors.items()}
