"""Example photos: free ones from scikit-image, degraded at startup."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from diffir.data import DEGRADATIONS
from diffir.data.photo import degraded
from diffir.images import Picture


@dataclass(frozen=True, kw_only=True)
class Example:
    """A photo, and what is wrong with it."""

    caption: str
    wish: str
    """The words of a wish."""
    photo: str
    """Its name in `skimage.data`."""
    columns: tuple[int, int | None] = (0, None)
    rows: tuple[int, int | None] = (0, None)
    degradation: str | None = None
    scale: int = 1
    seed: int = 0

    @property
    def file_name(self) -> str:
        """Visible to the visitor."""
        return f"{self.caption}.png"

    def make(self) -> Picture:
        """The degraded photo; raises ImportError if scikit-image is not installed."""
        photos: Any = import_module("skimage.data")
        part = getattr(photos, self.photo)()[slice(*self.rows), slice(*self.columns)]
        picture = Picture.from_array(np.ascontiguousarray(part))
        if self.degradation is None:
            return picture
        return degraded(picture, DEGRADATIONS[self.degradation], self.seed, self.scale)


EXAMPLES = (
    Example(
        caption="blurry",
        wish="It is blurry",
        photo="rocket",
        rows=(100, 400),
        columns=(120, 520),
        degradation="motion",
    ),
    Example(
        caption="small",
        wish="It is too small",
        photo="astronaut",
        rows=(0, 384),
        columns=(64, 448),
        degradation="bicubic",
        scale=4,
    ),
    Example(
        caption="old",
        wish="It is old and noisy",
        photo="chelsea",
        columns=(60, 400),
        degradation="mild",
        scale=2,
        seed=1,
    ),
    Example(caption="spoon", wish="Something should go", photo="coffee"),
)


def write_examples(folder: Path, wishes: list[str]) -> list[tuple[Path, Example]]:
    """Write the examples for these wishes; returns none if scikit-image is not installed."""
    chosen = [example for example in EXAMPLES if example.wish in wishes]
    try:
        for example in chosen:
            example.make().save(folder / example.file_name)
    except ImportError:
        return []
    return [(folder / example.file_name, example) for example in chosen]
