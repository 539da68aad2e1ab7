"""Values that recipes hold: frozen, no unknown keys, their ranges checked when they are read."""

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, TypeVar

import numpy as np
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

Name = TypeVar("Name", bound=str)

UNTOLD = (ValueError, LookupError, AttributeError, RecursionError)
"""What PyYAML lets through beside its own errors."""
STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Values(BaseModel):
    """The base of all settings; their numbers are finite, and true is none."""

    model_config = STRICT

    @model_validator(mode="before")
    @classmethod
    def no_switch_for_a_number(cls, values: Any) -> Any:
        """Refuse `true` and `yes`, which pydantic would take for 1."""
        switches = {name for name, field in cls.model_fields.items() if field.annotation is bool}
        return without_switches(values, switches)


def without_switches(values: Any, known: Collection[str]) -> Any:
    """A table as it is; ValueError for a true or false that is not one of the known switches."""
    for name, value in values.items() if isinstance(values, dict) else ():
        if name not in known and holds_switch(value):
            raise ValueError(
                f"{name} {value} found (yes, no, on and off are the same to YAML), which is no "
                f"switch; give a number or a name"
            )
    return values


def holds_switch(value: Any) -> bool:
    """Whether a value, or one in its lists and their lists, is true or false."""
    parts = value if isinstance(value, list | tuple) else [value]
    inner = [deep for part in parts for deep in (part if isinstance(part, list) else [part])]
    return any(isinstance(part, bool) for part in inner)


def read_yaml(text: str) -> Any:
    """What YAML says; raises ValueError, in one line, for what is none.

    That includes what can't be, a date as 2024-02-30 say.
    """
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, *UNTOLD) as error:
        raise ValueError(" ".join(str(error).split())) from error


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


Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
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
