"""Settings of recipes: frozen, without unknown keys, validated when they are read."""

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, TypeVar, get_origin

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from diffir.text import one_line

Name = TypeVar("Name", bound=str)

NOT_YAML_ERRORS = (ValueError, LookupError, AttributeError, RecursionError)
"""Exceptions of PyYAML other than its own errors."""
STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Values(BaseModel):
    """The base of all settings: numbers are finite, and booleans are not numbers."""

    model_config = STRICT

    @model_validator(mode="before")
    @classmethod
    def no_switch_for_a_number(cls, values: Any) -> Any:
        """Refuse `true` and `yes`, which pydantic would read as 1."""
        types = {name: field.annotation for name, field in cls.model_fields.items()}
        for name, value in values.items() if isinstance(values, dict) else ():
            if get_origin(types.get(name)) is dict:
                without_switches(value, ())
        return without_switches(values, {name for name, kind in types.items() if kind is bool})


def without_switches(values: Any, known: Collection[str]) -> Any:
    """The table unchanged; ValueError for a boolean that is not one of the known switches."""
    for name, value in values.items() if isinstance(values, dict) else ():
        if name not in known and holds_switch(value):
            raise ValueError(
                f"{name} {value} found (in YAML also yes, no, on and off), which is not a switch; "
                "give a number or a name"
            )
    return values


def holds_switch(value: Any) -> bool:
    """Whether a value, or one in its lists and their lists, is a boolean."""
    parts = value if isinstance(value, list | tuple) else [value]
    inner = [deep for part in parts for deep in (part if isinstance(part, list) else [part])]
    return any(isinstance(part, bool) for part in inner)


def read_yaml(text: str) -> Any:
    """The content of YAML; raises ValueError, with a one-line message, for invalid YAML.

    That includes impossible values such as the date 2024-02-30.
    """
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, *NOT_YAML_ERRORS) as error:
        raise ValueError(one_line(error)) from error


def ordered(span: tuple[float, float]) -> tuple[float, float]:
    """Check that the ends of a range are in order."""
    if span[0] > span[1]:
        raise ValueError(f"range {span} found; the smaller number comes first")
    return span


def drawable(odds: dict[Any, float]) -> dict[Any, float]:
    """Check that at least one of the odds is above 0."""
    if not sum(odds.values()) > 0:
        raise ValueError(f"odds {odds} found; at least one above 0 is wanted")
    return odds


def draw_by_odds(odds: Mapping[Name, float], draw: np.random.Generator) -> Name:
    """One of the names, drawn by their odds."""
    return list(odds)[place_by(np.cumsum(list(odds.values())), draw)]


def place_by(ends: NDArray[np.float64], draw: np.random.Generator) -> int:
    """An index drawn by odds, whose cumulative sums are `ends`."""
    return int(np.searchsorted(ends, draw.random() * ends[-1], side="right"))


Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Span = Annotated[tuple[Positive, Positive], AfterValidator(ordered)]
"""A smallest and a largest value, sampled uniformly."""
NotNegativeSpan = Annotated[tuple[NotNegative, NotNegative], AfterValidator(ordered)]
"""Like `Span`, 0 allowed."""
Count = Annotated[int, Field(ge=0)]
CountSpan = Annotated[tuple[Count, Count], AfterValidator(ordered)]
"""A smallest and a largest integer, both included."""


def named(table: Mapping[str, Any]) -> Callable[[Any], Any]:
    """A validator that replaces a name by its value in the table."""

    def found(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in table:
            near = difflib.get_close_matches(value, table, cutoff=0.4) or list(table)
            raise ValueError(f"{value!r} found; wanted one of {', '.join(near)}")
        return table[value]

    return found


def sentence(error: ValidationError) -> str:
    """The first validation error in one sentence: where, what was found, what helps."""
    first, *more = error.errors()
    where = ".".join(str(part) for part in first["loc"]) or "settings"
    what = first["msg"].removeprefix("Value error, ")
    found = first["input"]
    is_shown = isinstance(found, dict | list | tuple) or f"{found!r} found" in what
    shown = "" if is_shown else f" ({found!r} found)"
    return f"{where}: {what}{shown}" + (f", and {len(more)} more" if more else "")
