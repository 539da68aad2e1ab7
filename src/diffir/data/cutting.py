"""Cutting: from large pictures to copies of several sizes, and crops that cover them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from diffir.errors import DataError

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, as Pillow counts."""

FULL = Fraction(1)


@dataclass(frozen=True)
class Copy:
    """A picture at one size; `folder` separates sizes and is `""` if there is only one."""

    folder: str
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """How a picture is scaled and cropped for a training set.

    Raises DataError if the numbers contradict each other.
    """

    size: int = 0
    """Side of the crops; 0: pictures stay whole."""
    step: int = 0
    """Pixels from the start of one crop to the start of the next."""
    scales: tuple[Fraction, ...] = (FULL,)
    """Scales of the copies, at most 1."""
    edge: int = 0
    """Short side of one more copy, and the least short side of reduced copies; 0: no such copy."""

    def __post_init__(self) -> None:
        """Check that the numbers are consistent."""
        if not (0 < self.step <= self.size or self.step == self.size == 0):
            raise DataError(
                f"size {self.size} and step {self.step} found; wanted a step from 1 to the "
                "size, so that crops leave no gaps, and none for size 0, which does not crop"
            )
        if self.edge < 0 or not all(0 < scale <= 1 for scale in self.scales):
            raise DataError(
                f"scales {self.names()} and edge {self.edge} found; wanted scales above 0 and "
                "at most 1, and an edge in pixels or 0"
            )
        if len({label(scale) for scale in self.scales}) < max(len(self.scales), 1):
            raise DataError(f"scales {self.names()} found; wanted different ones, such as 1,0.5")

    @property
    def resizes(self) -> bool:
        """Whether there are copies of other sizes."""
        return self.scales != (FULL,) or self.edge > 0

    def names(self) -> str:
        """The scales as written on the command line."""
        return ",".join(str(scale) for scale in self.scales) or "none"

    def copies(self, width: int, height: int) -> list[Copy]:
        """The copies to make of a picture; empty if it is too small for any."""
        if not self.resizes:
            return [Copy("", width, height)]
        found = []
        for scale in self.scales:
            sides = int(width * scale), int(height * scale)
            if scale == FULL or min(sides) >= max(self.edge, 1):
                found.append(Copy(label(scale), *sides))
        short = min(width, height)
        if self.edge and short > self.edge:
            sides = width * self.edge // short, height * self.edge // short
            if sides not in [(copy.width, copy.height) for copy in found]:
                found.append(Copy(f"edge{self.edge}", *sides))
        return found

    def boxes(self, width: int, height: int) -> list[Box]:
        """Crops that cover a picture, row by row, the last ones flush with its border."""
        lefts, tops = (starts(side, self.size, self.step) for side in (width, height))
        return [
            (left, top, min(left + self.size, width), min(top + self.size, height))
            for top in tops
            for left in lefts
        ]


def starts(length: int, size: int, step: int) -> list[int]:
    """Start positions of crops that cover a line of pixels, the last one flush with its end."""
    if length <= size:
        return [0]
    return [*range(0, length - size, step), length - size]


def label(scale: Fraction) -> str:
    """The folder of a scale: `x0.75`."""
    return f"x{float(scale):.3g}"


def scales_of(words: Sequence[str]) -> tuple[Fraction, ...]:
    """Scales from texts such as `0.75` or `1/3`. Raises DataError."""
    try:
        return tuple(Fraction(word.strip()) for word in words)
    except (ValueError, ZeroDivisionError):
        raise DataError(
            f"scales {','.join(words)} found; wanted numbers between commas, such as 1,0.75,1/3"
        ) from None
