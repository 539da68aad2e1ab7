"""Facts as numbers: what is known of how pictures were made, to be read off their priors."""

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .draws import Facts

ANGLE = re.compile(r"(.*)angle((?:_\d+)?)")
"""What it is of, and the number of what happens more than once."""
Numbers = NDArray[np.float64]


Words = dict[str, tuple[str, ...]]
"""Those that each fact may be, of facts that are words."""


def words_of(facts: Sequence[Facts]) -> Words:
    """The words in what is known of pictures, sorted."""
    found: dict[str, set[str]] = {}
    for known in facts:
        for name, value in known.items():
            if isinstance(value, str):
                found.setdefault(name, set()).add(value)
    return {name: tuple(sorted(words)) for name, words in found.items()}


def labels_of(facts: Sequence[Facts], words: Words | None = None) -> dict[str, Numbers]:
    """What is known of N pictures as numbers (N), NaN where it is not known, by name.

    Angles, in degrees of 180, become the cosine and sine of their double, times the length of that
    name where there is one (`path_length·cos 2θ`): how a short path lies is neither to be seen nor
    of use. Of words, each is 1 or 0: of `words`, or without them of those in these pictures.
    """
    words = words_of(facts) if words is None else words
    labels: dict[str, Numbers] = {}
    for name in dict.fromkeys(name for known in facts for name in known):
        values = [known.get(name) for known in facts]
        if name in words:
            labels |= of_words(name, values, words[name])
            continue
        if any(isinstance(value, str) for value in values):  # a picture's name, say
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
    """Each word as 1 or 0, of two the first alone, which says all."""
    return {
        f"{name} = {word}": np.array(
            [math.nan if value is None else float(value == word) for value in values]
        )
        for word in words[: -1 if len(words) == 2 else None]
    }
