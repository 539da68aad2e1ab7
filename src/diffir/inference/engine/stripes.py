"""The division of a map into stripes of rows, and the line buffer of a 3×3 convolution."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A map's size and its division into stripes.

    A block is the least number of rows that sums over pixels process together. It depends only on
    the map; stripes are whole blocks, so their height does not change any sum.
    """

    height: int
    width: int
    block: int
    rows: int

    @property
    def tallest(self) -> int:
        """Rows of the tallest stripe: the last one includes a remainder smaller than a block."""
        return min(self.height, self.rows + self.block - 1)

    def spans(self) -> list[tuple[int, int]]:
        """(first row, row after the last) of every stripe."""
        starts = list(range(0, self.height, self.rows))
        if len(starts) > 1 and self.height - starts[-1] < self.block:
            starts.pop()
        return list(zip(starts, [*starts[1:], self.height], strict=True))

    def pieces(self, start: int, stop: int, late: int = 1) -> list[tuple[int, int]]:
        """Split rows that arrive `late` rows late into blocks, independently of the stripes."""
        cuts = [row for row in range(start + 1, stop) if (row + late) % self.block == 0]
        return list(zip([start, *cuts], [*cuts, stop], strict=True))


class LineBuffer:
    """The rows that a 3×3 convolution needs while a map arrives in stripes; zeros around it."""

    def __init__(self, memory: Tensor) -> None:
        """Start a map; memory is (tallest stripe + 3, W, C), with any content."""
        self.memory = memory
        self.first, self.end = 1, 2
        memory[1].zero_()

    def room(self, rows: int) -> Tensor:
        """A view to write the next rows into, (rows, W, C); the two before them are kept."""
        if self.end > 2:
            self.memory[:2] = self.memory[self.end - 2 : self.end].clone()
            self.first = 0
        self.end = 2 + rows
        return self.memory[2 : self.end]

    def window(self, last: bool) -> Tensor:
        """The rows to convolve, one more at each end than in the output; may be empty.

        `last` means that the map ends here.
        """
        if last:
            self.memory[self.end].zero_()
        return self.memory[self.first : self.end + last]


def window_of(x: Tensor, start: int, stop: int) -> Tensor:
    """Rows start-1 … stop+1 of a whole map (H, W, C), contiguous, with zeros beyond its edges."""
    height = len(x)
    if start > 0 and stop < height:
        return x[start - 1 : stop + 1].contiguous()
    window = x.new_zeros(stop - start + 2, *x.shape[1:])
    low, high = max(start - 1, 0), min(stop + 1, height)
    window[low - start + 1 : high - start + 1] = x[low:high]
    return window


def finished(start: int, stop: int, height: int) -> tuple[int, int]:
    """The rows that a 3×3 convolution can output once rows start … stop of `height` arrived."""
    return max(start - 1, 0), stop if stop == height else stop - 1
