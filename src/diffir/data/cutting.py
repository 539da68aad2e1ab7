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
    """A picture at one size; its folder keeps it apart from other sizes, `""` if there are none."""

    folder: str
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """How a picture becomes the pictures of a training set.

    Raises DataError where the numbers contradict each other.
    """

    size: int = 0
    """Side of the crops; 0: pictures stay whole."""
    step: int = 0
    """From the start of a crop to the start of the next."""
    scales: tuple[Fraction, ...] = (FULL,)
    """Of the copies; none is enlarged."""
    edge: int = 0
    """Short side of one more copy, and the smallest of a reduced one; 0: no such copy."""

    def __post_init__(self) -> None:
        """Refuse what no picture can be cut by."""
        if not (0 < self.step <= self.size or self.step == self.size == 0):
            raise DataError(
                f"size {self.size} and step {self.step} found; wanted is a step from 1 to the "
                "size, or pixels between crops are lost, and none for size 0, which does not cut"
            )
        if self.edge < 0 or not all(0 < scale <= 1 for scale in self.scales):
            raise DataError(
                f"scales {self.names()} and edge {self.edge} found; wanted are scales above 0 and "
                "up to 1, and an edge in pixels or 0"
            )
        if len({label(scale) for scale in self.scales}) < max(len(self.scales), 1):
            raise DataError(f"scales {self.names()} found; wanted are different ones, say 1,0.5")

    @property
    def resizes(self) -> bool:
        """Whether there are copies of other sizes."""
        return self.scales != (FULL,) or self.edge > 0

    def names(self) -> str:
        """The scales as they are given on the command line."""
        return ",".join(str(scale) for scale in self.scales) or "none"

    def copies(self, width: int, height: int) -> list[Copy]:
        """The sizes that a picture is wanted at; none where it is too small for any."""
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
        """Crops that cover a picture, row by row; the last ones end at its border."""
        lefts, tops = (starts(side, self.size, self.step) for side in (width, height))
        return [
            (left, top, min(left + self.size, width), min(top + self.size, height))
            for top in tops
            for left in lefts
        ]


def starts(length: int, size: int, step: int) -> list[int]:
    """Where crops begin so that they cover a line of pixels, the last one ending with it."""
    if length <= size:
        return [0]
    return [*range(0, length - size, step), length - size]


def label(scale: Fraction) -> str:
    """The folder of a scale: `x0.75`."""
    return f"x{float(scale):.3g}"


def scales_of(words: Sequence[str]) -> tuple[Fraction, ...]:
    """Scales from texts as `0.75` or `1/3`. Raises DataError."""
    try:
        return tuple(Fraction(word.strip()) for word in words)
    except (ValueError, ZeroDivisionError):
        raise DataError(
            f"scales {','.join(words)} found; wanted are numbers between commas, as 1,0.75,1/3"
        ) from None
