"""Chains of 3×3 convolutions, from stripes to stripes, without whole maps in between."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from einops import rearrange
from torch import Tensor

from .kernels import Convolution, Kernels
from .stripes import Grid, LineBuffer, finished, window_of
from .tools import Tools

Stripes: TypeAlias = Iterable[tuple[int, Tensor]]
"""In order: the index of the first row, and (R, W, C)."""
Windows: TypeAlias = Iterable[tuple[int, Tensor]]
"""In order: the first inner row, and (R + 2, W, C) with one more row at each end, zeros outside."""


def windows_of_map(
    x: Tensor, grid: Grid, kernels: Kernels, tools: Tools, work: float
) -> Iterator[tuple[int, Tensor]]:
    """The windows of a whole map (H, W, C), with `work` multiply-adds per position."""
    for start, stop in tools.stripes(grid, work):
        yield start, window_of(x, start, stop).to(kernels.dtype)


def stripes_of_map(
    x: Tensor, grid: Grid, tools: Tools, work: float
) -> Iterator[tuple[int, Tensor]]:
    """The stripes of a whole map (H, W, C), with `work` multiply-adds per position."""
    for start, stop in tools.stripes(grid, work):
        yield start, x[start:stop]


def convolved(convolve: Convolution, windows: Windows) -> Iterator[tuple[int, Tensor]]:
    """Convolve windows to stripes."""
    for start, window in windows:
        yield start, convolve(window)


def lined(stripes: Stripes, line: LineBuffer, height: int) -> Iterator[tuple[int, Tensor]]:
    """The windows of a map of `height` rows that arrives in stripes."""
    for start, rows in stripes:
        line.room(len(rows)).copy_(rows)
        first, end = finished(start, start + len(rows), height)
        if first < end:
            yield first, line.window(end == height)


def shuffled(stripes: Stripes, name: str, tools: Tools) -> Iterator[tuple[int, Tensor]]:
    """Pixel-shuffle stripes (R, W, 2·2·C), with channels in this order, to (2R, 2W, C)."""
    for start, rows in stripes:
        height, width, channels = 2 * len(rows), 2 * rows.shape[1], rows.shape[2] // 4
        fine = tools.memory(name, height, width, channels)
        places = fine.view(len(rows), 2, rows.shape[1], 2, channels)
        places.copy_(rearrange(rows, "r w (y x c) -> r y w x c", y=2, x=2))
        yield 2 * start, fine
