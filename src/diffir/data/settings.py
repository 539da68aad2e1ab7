"""Values that recipes hold: frozen, no unknown keys, their ranges checked when they are read."""

import difflib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

Name = TypeVar("Name", bound=str)

STRICT = ConfigDict(frozen=True, extra="forbid")


class Values(BaseModel):
    """The base of all settings."""

    model_config = STRICT


def ordered(span: tuple[float, float]) -> tuple[float, float]:
    """A range, refused when its ends are swapped."""
    if span[0] > span[1]:
        raise ValueError(f"range {span} found; the smaller number comes first")
    return span


def drawable(odds: dict[Any, float]) -> dict[Any, float]:
    """Odds, refused when nothing can be drawn by them."""
    if not sum(odds.values()) > 0:
        raise ValueError(f"odds {odds} found; at least one above 0 is wanted")
    return odds


def draw_by_odds(odds: Mapping[Name, float], draw: np.random.Generator) -> Name:
    """One of the names, as often as its odds among all say."""
    ends = np.cumsum(list(odds.values()))
    return list(odds)[int(np.searchsorted(ends, draw.random() * ends[-1], side="right"))]


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1)]
Span = Annotated[tuple[Positive, Positive], AfterValidator(ordered)]
"""A smallest and a largest value; draws between them are uniform."""
NotNegativeSpan = Annotated[tuple[NotNegative, NotNegative], AfterValidator(ordered)]
"""As `Span`, from 0 on."""
Count = Annotated[int, Field(ge=0)]
CountSpan = Annotated[tuple[Count, Count], AfterValidator(ordered)]
"""A smallest and a largest whole number, both possible."""


def named(table: Mapping[str, Any]) -> Callable[[Any], Any]:
    """A validator that takes a name of the table for what stands under it."""

    def found(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in table:
            near = difflib.get_close_matches(value, table, cutoff=0.4) or list(table)
            raise ValueError(f"{value!r} found; wanted is one of {', '.join(near)}")
        return table[value]

    return found


def sentence(error: ValidationError) -> str:
    """The first thing that is wrong with settings, in words: where, what was found, what helps."""
    first, *more = error.errors()
    where = ".".join(str(part) for part in first["loc"]) or "settings"
    what = first["msg"].removeprefix("Value error, ")
    found = first["input"]
    is_told = isinstance(found, dict | list | tuple) or f"{found!r} found" in what
    shown = "" if is_told else f" ({found!r} found)"
    return f"{where}: {what}{shown}" + (f", and {len(more)} more" if more else "")
