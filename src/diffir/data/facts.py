"""Facts as numbers: how pictures were degraded, to be predicted from their priors."""

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .draws import Facts

ANGLE = re.compile(r"(.*)angle((?:_\d+)?)")
"""Prefix and number of an angle's name."""
Numbers = NDArray[np.float64]


Words = dict[str, tuple[str, ...]]
"""The possible values of each categorical fact."""


def words_of(facts: Sequence[Facts]) -> Words:
    """The values of the categorical facts of pictures, sorted."""
    found: dict[str, set[str]] = {}
    for known in facts:
        for name, value in known.items():
            if isinstance(value, str):
                found.setdefault(name, set()).add(value)
    return {name: tuple(sorted(words)) for name, words in found.items()}


def labels_of(facts: Sequence[Facts], words: Words | None = None) -> dict[str, Numbers]:
    """The facts of N pictures as numbers (N), NaN where unknown, by name.

    Angles, modulo 180 degrees, become the cosine and sine of twice the angle, times the length of
    the same name if there is one (`path_length·cos 2θ`): the direction of a short path is neither
    visible nor useful. Categorical facts are one-hot, over `words` or the values in these pictures.
    """
    words = words_of(facts) if words is None else words
    labels: dict[str, Numbers] = {}
    for name in dict.fromkeys(name for known in facts for name in known):
        values = [known.get(name) for known in facts]
        if name in words:
            labels |= of_words(name, values, words[name])
            continue
        if any(isinstance(value, str) for value in values):  # such as a picture's name
            continue
        numbers = of_numbers(values)
        if found := ANGLE.fullmatch(name):
            length = "length".join(found.groups())
            doubled = np.deg2rad(2 * numbers)
            parts = {"cos": np.cos(doubled), "sin": np.sin(doubled)}
            if any(length in fact for fact in facts):
                size = of_numbers([fact.get(length) for fact in facts])
                labels |= {f"{length}·{part} 2θ": size * parts[part] for part in parts}
            else:
                labels |= {f"{part} 2·{name}": parts[part] for part in parts}
        else:
            labels[name] = numbers
    return labels


def of_numbers(values: Sequence[float | str | None]) -> Numbers:
    """NaN for None."""
    return np.array([math.nan if value is None else float(value) for value in values])


def of_words(
    name: str, values: Sequence[float | str | None], words: Sequence[str]
) -> dict[str, Numbers]:
    """Each word as 1 or 0; of two words only the first, which implies the other."""
    return {
        f"{name} = {word}": np.array(
            [math.nan if value is None else float(value == word) for value in values]
        )
        for word in words[: -1 if len(words) == 2 else None]
    }
