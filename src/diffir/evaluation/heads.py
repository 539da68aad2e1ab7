"""Finding the small files that learned metrics have beside their network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diffir.losses import PublicWeights, find_weights
from diffir.losses.weights import searched_places


@dataclass(frozen=True)
class PinnedWeights(PublicWeights):
    """A file whose name does not tell its hash."""

    sha256: str
    """What its sha256 begins with."""

    @property
    def sha256_prefix(self) -> str:
        """As the field, not as the name, says."""
        return self.sha256


def known_as(names: Sequence[str], url: str, sha256: str) -> list[PublicWeights]:
    """One file under the names that it is met under."""
    return [PinnedWeights(name, url, sha256) for name in names]


def find_any(choices: Sequence[PublicWeights], weights_dir: Path | None = None) -> Path:
    """The first of some files that is on this machine, its hash checked; raises as `find_weights`.

    Where there is none, the sentence names the first.
    """
    places = searched_places(weights_dir)
    there = (w for w in choices if any((place / w.name).is_file() for place in places))
    return find_weights(next(there, choices[0]), weights_dir)
