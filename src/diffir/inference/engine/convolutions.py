"""The full 3×3 convolutions around the blocks, in stripes: from pictures, between levels, to RGB.

H × W are the positions of the current map; maps are (H, W, C).
"""

from collections.abc import Iterator

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .kernels import Convolution, Kernels, few_outputs
from .streams import Stripes, convolved, lined, shuffled, stripes_of_map, windows_of_map
from .stripes import Grid
from .tools import Tools
from .work import convolutions, layer_work, tail_work


def convolution_of(layer: nn.Module, kernels: Kernels, leaky: bool = False) -> Convolution:
    """A layer's 3×3 convolution by the kernels."""
    assert isinstance(layer, nn.Conv2d)
    return kernels.convolution(layer.weight, layer.bias, leaky)


def shuffling_convolution(layer: nn.Module, tools: Tools) -> Convolution:
    """The convolution before a pixel-shuffle by 2, with outputs in the order (2, 2, C)."""
    assert isinstance(layer, nn.Conv2d)

    def ordered(weight: Tensor) -> Tensor:
        return rearrange(weight, "(c four) ... -> (four c) ...", four=4)

    bias = None if layer.bias is None else ordered(layer.bias)
    return tools.kernels.convolution(ordered(layer.weight), bias)


def embed(
    layer: nn.Module,
    picture: Tensor,
    factor: int,
    x: Tensor,
    grid: Grid,
    tools: Tools,
    leaky: bool = False,
) -> None:
    """Unshuffle a picture (C, factor·H, factor·W) and convolve it into x (H, W, C')."""
    convolve = convolution_of(layer, tools.fine, leaky)
    for start, stop in tools.stripes(grid, layer_work(layer)):
        window = unshuffled_window(picture, factor, start, stop)
        x[start:stop] = convolve(window)


def unshuffled_window(picture: Tensor, factor: int, start: int, stop: int) -> Tensor:
    """Rows start-1 … stop+1 of the pixel-unshuffled picture, (R + 2, W, C'), zeros beyond it."""
    height = picture.shape[1] // factor
    low, high = max(start - 1, 0), min(stop + 1, height)
    part = F.pixel_unshuffle(picture[None, :, low * factor : high * factor], factor)
    beyond = [0, 0, low - start + 1, stop + 1 - high]
    return F.pad(part, beyond)[0].permute(1, 2, 0).contiguous()


def down(layer: nn.Module, x: Tensor, grid: Grid, coarse: Tensor, tools: Tools) -> None:
    """Convolve x (H, W, C) and unshuffle the result into coarse (H/2, W/2, 2C)."""
    windows = windows_of_map(x, grid, tools.kernels, tools, layer_work(layer))
    for start, rows in convolved(convolution_of(layer, tools.kernels), windows):
        unshuffled = rearrange(rows, "(r y) (w x) c -> r w (c y x)", y=2, x=2)
        coarse[start // 2 : start // 2 + len(unshuffled)] = unshuffled


def up(layer: nn.Module, x: Tensor, grid: Grid, tools: Tools) -> Iterator[tuple[int, Tensor]]:
    """Stripes of (2H, 2W, C) from x (H, W, 2C), whose rows may be overwritten once used."""
    line = tools.line("first", grid.tallest, grid.width, x.shape[2])
    windows = lined(stripes_of_map(x, grid, tools, layer_work(layer)), line, grid.height)
    return shuffled(convolved(shuffling_convolution(layer, tools), windows), "second", tools)


def fuse(layer: nn.Module, coming: Stripes, x: Tensor, tools: Tools) -> None:
    """Replace the skip x (H, W, C) by `W [coming, x]`, a sum of two products."""
    assert isinstance(layer, nn.Conv2d)
    of_coming, of_skip = layer.weight[:, :, 0, 0].chunk(2, dim=1)
    first, second = tools.kernels.product(of_skip), tools.kernels.adder(of_coming)
    for start, rows in coming:
        skip = x[start : start + len(rows)]
        fused = tools.memory("third", *skip.shape)
        first(skip.to(tools.kernels.dtype).contiguous(), fused)
        second(rows, fused)
        skip.copy_(fused)


def join(coming: Stripes, skip: Tensor, x: Tensor) -> None:
    """Write [coming, skip] into x (H, W, 2C), whose rows may contain those of the skip."""
    channels = skip.shape[2]
    for start, rows in coming:
        stop = start + len(rows)
        x[start:stop, :, channels:] = skip[start:stop].clone()
        x[start:stop, :, :channels] = rows


def tail(layers: nn.Module, x: Tensor, grid: Grid, tools: Tools) -> Iterator[tuple[int, Tensor]]:
    """Stripes of RGB from x (H, W, 2C), enlarged by every layer but the last."""
    *doublings, last = convolutions(layers)
    kernels = tools.kernels if doublings else tools.fine
    windows = windows_of_map(x, grid, kernels, tools, tail_work([*doublings, last]))
    rows, height, width = grid.tallest, grid.height, grid.width
    for name, layer in zip(("first", "second"), doublings, strict=False):
        stripes = shuffled(convolved(shuffling_convolution(layer, tools), windows), "third", tools)
        rows, height, width = 2 * rows, 2 * height, 2 * width
        line = tools.line(name, rows, width, layer.out_channels // 4)
        windows = lined(stripes, line, height)
        rows += 1
    assert isinstance(last, nn.Conv2d)
    to_rgb = few_outputs(last.weight.detach(), None if last.bias is None else last.bias.detach())
    return convolved(lambda window: to_rgb(window.float()), windows)
