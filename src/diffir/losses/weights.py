"""Finding the weights of others on this machine, and putting them into a network of ours.

Nothing is downloaded. Places are searched in this order: a folder that the caller names, the folder
in DIFFIR_WEIGHTS, and where torch.hub keeps its files.
"""

import hashlib
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from diffir.errors import WeightsError

# What batch norms count while they learn; one that rests has no use for it
BOOKKEEPING = ("num_batches_tracked", "_tmp_running_mean", "_tmp_running_var", "_running_iter")


@dataclass(frozen=True)
class PublicWeights:
    """A file of weights that its authors offer."""

    name: str
    """Its path below a searched place."""
    url: str
    """Where it can be had."""

    @property
    def sha256_prefix(self) -> str:
        """What its sha256 begins with, as told by its name (`vgg19-dcbb9e9d.pth`); '' if untold."""
        found = re.search(r"-([0-9a-f]{8,64})\.\w+$", self.name)
        return found[1] if found else ""


def searched_places(weights_dir: Path | None = None) -> list[Path]:
    """The folders in which weights are looked for, first things first."""
    told = os.environ.get("DIFFIR_WEIGHTS")
    named = [place for place in (weights_dir, told) if place]
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    hub = Path(os.environ.get("TORCH_HOME") or Path(cache) / "torch") / "hub" / "checkpoints"
    return [Path(place).expanduser() for place in [*named, hub]]


def find_weights(weights: PublicWeights, weights_dir: Path | None = None) -> Path:
    """The file on this machine, its hash checked where its name tells one.

    Raises:
        WeightsError: when no searched place has it, or its content is not what its name says.
    """
    places = searched_places(weights_dir)
    found = [place / weights.name for place in places if (place / weights.name).is_file()]
    if not found:
        raise WeightsError(missing(weights, places))
    require_hash(found[0], weights.sha256_prefix)
    return found[0]


def missing(weights: PublicWeights, places: list[Path]) -> str:
    """The sentence for a file that is nowhere: which, where it was sought, where it can be had."""
    prefix = weights.sha256_prefix
    told = f" (sha256 {prefix}…)" if prefix else ""
    return (
        f"{weights.name}{told} is in none of {', '.join(map(str, places))}; "
        f"get it from {weights.url} into one of them, or name its folder in DIFFIR_WEIGHTS"
    )


def require_hash(path: Path, prefix: str) -> None:
    """Refuse a file whose sha256 does not begin so; torch asks for it at download only."""
    if not prefix:
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if not digest.hexdigest().startswith(prefix):
        raise WeightsError(
            f"{path} has the sha256 {digest.hexdigest()[: len(prefix)]}… instead of {prefix}…; "
            "it is broken or another file, so get it anew"
        )


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state_dict in a file of `torch.save`, old or new, on the CPU; no code of it is run.

    Raises:
        WeightsError: when the file is broken or holds anything but named tensors.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler met
        raise WeightsError(
            f"{path} is broken or holds more than data ({type(error).__name__}); get it anew"
        ) from error
    if not isinstance(stored, Mapping) or not all(isinstance(v, Tensor) for v in stored.values()):
        raise WeightsError(f"{path} holds no state_dict; a file of named tensors is wanted")
    return {str(name): tensor for name, tensor in stored.items()}


def load_into(network: nn.Module, path: Path, ignored: tuple[str, ...] = ()) -> None:
    """Fill every tensor of a network from a file; names that begin with `ignored` are skipped.

    Raises:
        WeightsError: when a tensor is missing, too many, or of another shape.
    """
    wanted = {k: v for k, v in network.state_dict().items() if not k.endswith(BOOKKEEPING)}
    found = {
        name: tensor
        for name, tensor in read_weights(path).items()
        if not name.endswith(BOOKKEEPING) and not name.startswith(ignored)
    }
    misfit = [
        name for name in wanted.keys() & found.keys() if found[name].shape != wanted[name].shape
    ]
    faults = {
        "lacks": wanted.keys() - found.keys(),
        "has besides": found.keys() - wanted.keys(),
        "has in other shapes": misfit,
    }
    words = [f"{fault} {few(names)}" for fault, names in faults.items() if names]
    if words:
        raise WeightsError(
            f"{path} {' and '.join(words)}; "
            f"the weights of a {type(network).__name__} of this width are wanted"
        )
    network.load_state_dict(found, strict=False)


def few(names: Collection[str]) -> str:
    """Up to three of the names, and how many more there are."""
    rest = len(names) - 3
    return ", ".join(sorted(names)[:3]) + (f" and {rest} more" if rest > 0 else "")
