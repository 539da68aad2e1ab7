"""CPEN streamed: its residual blocks over a map in place, its mean over positions a running sum."""

from torch import Tensor, nn

from diffir.model.cpen import CPEN

from .convolutions import convolution_of, embed
from .streams import Stripes, convolved, lined, windows_of_map
from .stripes import Grid
from .tools import Tools
from .work import convolutions, layer_work


def extract(
    cpen: CPEN, picture: Tensor, factor: int, x: Tensor, grid: Grid, tools: Tools
) -> Tensor:
    """The IPR (1, 4C') of a picture (C, factor·H, factor·W); x (H, W, C') is where it is made."""
    embed(cpen.embed[0], picture, factor, x, grid, tools, leaky=True)
    for block in cpen.blocks.children():
        run_residual_block(block, x, grid, tools)
    mean = mean_of(expanded(cpen.expand, x, grid, tools), grid)
    return cpen.mlp(mean[None].to(x))


def run_residual_block(block: nn.Module, x: Tensor, grid: Grid, tools: Tools) -> None:
    """Add two convolutions of x to it, always in rows whose old values nobody needs any more."""
    layers = convolutions(block)
    for start, rows in chain(layers, [True, False], x, grid, tools):
        x[start : start + len(rows)] += rows


def expanded(layers: nn.Module, x: Tensor, grid: Grid, tools: Tools) -> Stripes:
    """Stripes of (H, W, 4C')."""
    return chain(convolutions(layers), [True, True, True], x, grid, tools)


def chain(
    layers: list[nn.Conv2d], leaky: list[bool], x: Tensor, grid: Grid, tools: Tools
) -> Stripes:
    """Convolutions one after another from a whole map, each with a leaky ReLU or without."""
    windows = windows_of_map(
        x, grid, tools.kernels, tools, sum(layer_work(layer) for layer in layers)
    )
    stripes = convolved(convolution_of(layers[0], tools.kernels, leaky[0]), windows)
    for late, (name, layer) in enumerate(zip(("first", "second"), layers[1:], strict=False)):
        line = tools.line(name, grid.tallest + late, grid.width, layer.in_channels)
        windows = lined(stripes, line, grid.height)
        stripes = convolved(convolution_of(layer, tools.kernels, leaky[late + 1]), windows)
    return stripes


def mean_of(stripes: Stripes, grid: Grid) -> Tensor:
    """The mean (C) over all positions of a map that comes two rows late."""
    total: float | Tensor = 0.0
    for start, rows in stripes:
        for low, high in grid.pieces(start, start + len(rows), late=2):
            piece = rows[low - start : high - start].flatten(0, 1)
            total = total + piece.float().sum(dim=0).double()
    assert isinstance(total, Tensor)
    return total / (grid.height * grid.width)
