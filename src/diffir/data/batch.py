"""Batch: what one training step learns from."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from .draws import Facts


@dataclass(frozen=True, kw_only=True)
class Batch:
    """LQ as the network sees it and its ground truth, values in [0, 1]."""

    lq: Tensor
    """(B, in_channels, H, W)."""
    gt: Tensor
    """(B, 3, H·scale, W·scale)."""
    mask: Tensor | None = None
    """(B, 1, H, W), 1 = hole; for inpainting."""
    plain_gt: Tensor | None = None
    """GT before it was sharpened, where it was."""
    facts: tuple[Facts, ...] = ()
    """What was drawn for each picture, where that is known."""

    def tensors(self) -> dict[str, Tensor]:
        """The tensors it has, by name."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if isinstance(value, Tensor)}

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with a function applied to all its tensors."""
        changed = {name: change(tensor) for name, tensor in self.tensors().items()}
        return Batch(**changed, facts=self.facts)

    def part(self, places: slice) -> "Batch":
        """Some of its pictures."""
        return replace(self.map(lambda tensor: tensor[places]), facts=self.facts[places])


def cut(images: Tensor, margin: int) -> Tensor:
    """(B, C, H, W) without `margin` pixels at each side."""
    return images[..., margin : images.shape[-2] - margin, margin : images.shape[-1] - margin]


def joined(parts: list[Batch], order: list[int]) -> Batch:
    """One batch of several with the same tensors; picture i of them all goes to place order[i]."""
    places = torch.tensor(order).argsort()
    tensors = {
        name: torch.cat([part.tensors()[name] for part in parts])[places.to(tensor.device)]
        for name, tensor in parts[0].tensors().items()
    }
    facts = [fact for part in parts for fact in part.facts or [{}] * len(part.gt)]
    return Batch(**tensors, facts=tuple(facts[place] for place in places.tolist()))
