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


def labels_of(facts: Sequence[Facts]) -> dict[str, Numbers]:
    """What is known of N pictures as numbers (N), NaN where it is not known, by name.

    Angles, in degrees of 180, become the cosine and sine of their double, times the length of that
    name where there is one: how a short path lies is neither to be seen nor of use. Of words, each
    is 1 or 0.
    """
    labels: dict[str, Numbers] = {}
    for name in dict.fromkeys(name for known in facts for name in known):
        values = [known.get(name) for known in facts]
        if any(isinstance(value, str) for value in values):
            labels |= of_words(name, values)
            continue
        numbers = of_numbers(values)
        if found := ANGLE.fullmatch(name):
            length = "length".join(found.groups())
            known = any(length in fact for fact in facts)
            size = of_numbers([fact.get(length) for fact in facts]) if known else 1.0
            labels |= of_angles(f"{length}·" * known, name, numbers, size)
        else:
            labels[name] = numbers
    return labels


def of_numbers(values: Sequence[float | str | None]) -> Numbers:
    """NaN for None."""
    return np.array([math.nan if value is None else float(value) for value in values])


def of_angles(unit: str, name: str, degrees: Numbers, size: Numbers | float) -> dict[str, Numbers]:
    """Cosine and sine of doubled angles, times a size."""
    doubled = np.deg2rad(2 * degrees)
    return {
        f"{unit}cos 2·{name}": size * np.cos(doubled),
        f"{unit}sin 2·{name}": size * np.sin(doubled),
    }


def of_words(name: str, values: Sequence[float | str | None]) -> dict[str, Numbers]:
    """Each word but the last as 1 or 0: of two, one says all."""
    words = sorted({str(value) for value in values if value is not None})
    return {
        f"{name} = {word}": np.array(
            [math.nan if value is None else float(value == word) for value in values]
        )
        for word in words[: -1 if len(words) == 2 else None]
    }
