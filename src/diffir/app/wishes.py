"""Wishes: what is wrong with a photo, in words, and which loaded networks fix it."""

from collections.abc import Mapping
from dataclasses import dataclass

from diffir.inference import Restorer


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One thing that can be wrong with a photo."""

    words: str
    task: str
    names: tuple[str, ...] = ()
    """Networks that serve this wish instead of the first one of their task."""


WISHES = (
    Wish(words="It is blurry", task="deblur"),
    Wish(words="It is too small", task="sr"),
    Wish(
        words="It is old and noisy",
        task="sr",
        names=("real-x4-lite", "real-x4-lite-detail", "sr-x1", "toy-real"),
    ),
    Wish(words="Something should go", task="inpaint"),
)


def wish_of(name: str, task: str) -> Wish:
    """The wish that a network serves, by its name or task."""
    named = [wish for wish in WISHES if name in wish.names]
    return (named or [wish for wish in WISHES if wish.task == task])[0]


def offered(restorers: Mapping[str, Restorer]) -> dict[Wish, list[str]]:
    """The wishes that can be fulfilled, each with its networks, the preferred one first."""
    served = {name: wish_of(name, one.task.name) for name, one in restorers.items()}
    found = {wish: [name for name in served if served[name] == wish] for wish in WISHES}
    return {wish: names for wish, names in found.items() if names}
