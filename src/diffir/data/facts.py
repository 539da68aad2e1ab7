"""Facts as numbers: what is known of how pictures were made, to be read off their priors."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .draws import Facts

Numbers = NDArray[np.float64]


def labels_of(facts: Sequence[Facts]) -> dict[str, Numbers]:
    """What is known of N pictures as numbers (N), NaN where it is not known, by name.

    Angles, in degrees of 180, become the cosine and sine of their double; of words, each is 1 or 0.
    """
    labels: dict[str, Numbers] = {}
    for name in dict.fromkeys(name for known in facts for name in known):
        values = [known.get(name) for known in facts]
        if any(isinstance(value, str) for value in values):
            labels |= of_words(name, values)
            continue
        numbers = np.array([math.nan if value is None else float(value) for value in values])
        if name.split("_")[-1] == "angle":
            doubled = np.deg2rad(2 * numbers)
            labels |= {f"cos 2·{name}": np.cos(doubled), f"sin 2·{name}": np.sin(doubled)}
        else:
            labels[name] = numbers
    return labels


def of_words(name: str, values: Sequence[float | str | None]) -> dict[str, Numbers]:
    """Each word but the last as 1 or 0: of two, one says all."""
    words = sorted({str(value) for value in values if value is not None})
    return {
        f"{name} = {word}": np.array(
            [math.nan if value is None else float(value == word) for value in values]
        )
        for word in words[: -1 if len(words) == 2 else None]
    }
