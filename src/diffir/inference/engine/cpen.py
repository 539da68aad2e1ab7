"""CPEN in stripes: residual blocks in place, and the mean over positions as a running sum."""

from collections.abc import Sequence

from torch import Tensor, nn

from diffir.model.cpen import CPEN, EPS, ConstantIPR

from .convolutions import convolution_of, embed
from .streams import Stripes, convolved, lined, windows_of_map
from .stripes import Grid
from .tools import Tools
from .work import convolutions, layer_work


def extract(
    cpen: CPEN, picture: Tensor, factor: int, x: Tensor, grid: Grid, tools: Tools
) -> Tensor:
    """The IPR (1, 4C') of a picture (C, factor·H, factor·W); x (H, W, C') is working memory."""
    if isinstance(cpen, ConstantIPR):
        return cpen(picture[None])
    embed(cpen.embed[0], picture, factor, x, grid, tools, leaky=True)
    for block in cpen.blocks.children():
        run_residual_block(block, x, grid, tools)
    expanded = chain(convolutions(cpen.expand), [True, True, True], x, grid, tools)  # (H, W, 4C')
    powers = (1, 2) if cpen.with_std else (1,)
    mean, *squares = means_of(powers, expanded, grid)
    spreads = [(square - mean.square() + EPS).sqrt() for square in squares]
    spread = spreads[0][None].to(x) if spreads else None
    return cpen.read(mean[None].to(x), spread)


def run_residual_block(block: nn.Module, x: Tensor, grid: Grid, tools: Tools) -> None:
    """Add two convolutions of x to it in place, in rows whose old values are no longer needed."""
    layers = convolutions(block)
    for start, rows in chain(layers, [True, False], x, grid, tools):
        x[start : start + len(rows)] += rows


def chain(
    layers: list[nn.Conv2d], leaky: list[bool], x: Tensor, grid: Grid, tools: Tools
) -> Stripes:
    """Consecutive convolutions of a whole map, each with or without a leaky ReLU."""
    windows = windows_of_map(
        x, grid, tools.kernels, tools, sum(layer_work(layer) for layer in layers)
    )
    stripes = convolved(convolution_of(layers[0], tools.kernels, leaky[0]), windows)
    for late, (name, layer) in enumerate(zip(("first", "second"), layers[1:], strict=False)):
        line = tools.line(name, grid.tallest + late, grid.width, layer.in_channels)
        windows = lined(stripes, line, grid.height)
        stripes = convolved(convolution_of(layer, tools.kernels, leaky[late + 1]), windows)
    return stripes


def means_of(powers: Sequence[int], stripes: Stripes, grid: Grid) -> list[Tensor]:
    """The means (C) of some powers over all positions of a map that arrives two rows late."""
    totals: list[float | Tensor] = [0.0 for _ in powers]
    for start, rows in stripes:
        for low, high in grid.pieces(start, start + len(rows), late=2):
            piece = rows[low - start : high - start].flatten(0, 1).float()
            for index, power in enumerate(powers):
                part = piece if power == 1 else piece.double() ** power
                totals[index] = totals[index] + part.sum(dim=0).double()
    size = grid.height * grid.width
    return [total / size for total in totals if isinstance(total, Tensor)]
