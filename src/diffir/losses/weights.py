"""Find third-party weights on this machine and load them into our networks.

Nothing is downloaded. Folders are searched in this order: one given by the caller, DIFFIR_WEIGHTS,
and torch.hub's.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from diffir.errors import WeightsError
from diffir.files import digest_of
from diffir.text import few

# Counters of batch norms in training, which a frozen one does not need
BOOKKEEPING = ("num_batches_tracked", "_tmp_running_mean", "_tmp_running_var", "_running_iter")


@dataclass(frozen=True)
class PublicWeights:
    """A file of weights published by its authors."""

    name: str
    """Its path below a searched folder."""
    url: str
    """Its download address."""
    sha256: str = ""
    """The beginning of its sha256, if the name does not contain it."""

    @property
    def sha256_prefix(self) -> str:
        """The beginning of its sha256, given or from its name (`vgg19-dcbb9e9d.pth`); else ''."""
        in_name = re.search(r"-([0-9a-f]{8,64})\.\w+$", self.name)
        return self.sha256 or (in_name[1] if in_name else "")


def searched_places(weights_dir: Path | None = None) -> list[Path]:
    """The folders in which weights are searched, in order."""
    folder = os.environ.get("DIFFIR_WEIGHTS")
    named = [place for place in (weights_dir, folder) if place]
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    hub = Path(os.environ.get("TORCH_HOME") or Path(cache) / "torch") / "hub" / "checkpoints"
    return [Path(place).expanduser() for place in [*named, hub]]


def find_weights(weights: PublicWeights, weights_dir: Path | None = None) -> Path:
    """The file on this machine, its hash checked where it is known.

    Raises:
        WeightsError: when no searched folder has it, or its hash differs.
    """
    places = searched_places(weights_dir)
    found = [place / weights.name for place in places if (place / weights.name).is_file()]
    if not found:
        raise WeightsError(missing(weights, places))
    require_hash(found[0], weights.sha256_prefix)
    return found[0]


def find_any(choices: Sequence[PublicWeights], weights_dir: Path | None = None) -> Path:
    """The first of several files that is on this machine; raises as `find_weights`.

    Where none is, the message names the first.
    """
    places = searched_places(weights_dir)
    present = (w for w in choices if any((place / w.name).is_file() for place in places))
    return find_weights(next(present, choices[0]), weights_dir)


def missing(weights: PublicWeights, places: list[Path]) -> str:
    """The message for a missing file: its name, the searched folders, and its address."""
    prefix = weights.sha256_prefix
    digest = f" (sha256 {prefix}…)" if prefix else ""
    return (
        f"{weights.name}{digest} is in none of {', '.join(map(str, places))}; download it from "
        f"{weights.url} into one of them, or set DIFFIR_WEIGHTS to its folder"
    )


def require_hash(path: Path, prefix: str) -> None:
    """Raise WeightsError where a file's sha256 differs; torch only checks it on download."""
    if not prefix:
        return
    digest = digest_of(path)
    if not digest.startswith(prefix):
        raise WeightsError(
            f"{path} has the sha256 {digest[: len(prefix)]}… instead of {prefix}…; "
            "it is broken or another file, so get another copy"
        )


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state_dict in a `torch.save` file, old or new, on the CPU; none of its code is run.

    Raises:
        WeightsError: when the file is broken or holds anything but named tensors.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler met
        raise WeightsError(
            f"{path} is broken or holds more than data ({type(error).__name__}); get another copy"
        ) from error
    if not isinstance(stored, Mapping) or not all(isinstance(v, Tensor) for v in stored.values()):
        raise WeightsError(f"{path} holds no state_dict; give a file of named tensors")
    return {str(name): tensor for name, tensor in stored.items()}


def load_into(network: nn.Module, path: Path, ignored: tuple[str, ...] = ()) -> None:
    """Load a file into a network, strictly; names that begin with `ignored` are skipped.

    Raises:
        WeightsError: when a tensor is missing, unexpected, or of another shape.
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
        "has unexpected": found.keys() - wanted.keys(),
        "has in other shapes": misfit,
    }
    words = [f"{fault} {few(names)}" for fault, names in faults.items() if names]
    if words:
        raise WeightsError(
            f"{path} {' and '.join(words)}; "
            f"give the weights of a {type(network).__name__} of this width"
        )
    network.load_state_dict(found, strict=False)
