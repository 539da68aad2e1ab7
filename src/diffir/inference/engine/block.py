"""One dynamic transformer block on a map, in place, stripe by stripe, in two passes.

C channels, h heads, c = C / h. Pass 1 computes only Q and K, for the c × c correlations of their
channels. Pass 2 computes V, so that x remains the only map, adds `M V` to x, where M is the output
projection times the attention of all heads, and runs the feed-forward network after it. Scale and
shift of the IPR and of the norm are folded into the weights of the products for each picture; the
L2 norms of Q and K are applied to the correlations.
"""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from diffir.model.blocks import DGFN, DynamicTransformerBlock, IPRModulation, LayerNorm2d

from .correlations import Correlations
from .stripes import Grid, finished
from .tools import Tools
from .work import correlation_work, rest_work

ALIGN = 16  # hidden channels are padded to full vector registers
Spans = Iterable[tuple[int, int]]


def run_block(
    block: DynamicTransformerBlock, ipr: Tensor, x: Tensor, grid: Grid, tools: Tools
) -> None:
    """Run a block on x (H, W, C) in place, with the IPR (1, 4C')."""
    first = folded(block.attention.qkv.weight, block.norm1, block.modulation1, ipr)
    matrix = mixing_matrix(block, first, x, grid, tools)
    attended = attend(block, first, matrix, x, grid, tools)
    second = folded(block.ffn.project_in.weight, block.norm2, block.modulation2, ipr)
    for _ in feed_forward(block.ffn, block.norm2, second, attended, x, grid, tools):
        pass


def folded(
    weight: Tensor, norm: LayerNorm2d, modulation: IPRModulation, ipr: Tensor
) -> tuple[Tensor, Tensor]:
    """Weight (O, C) and bias (O) for normalised inputs, with norm and modulation folded in."""
    weight = weight[:, :, 0, 0]
    scale, shift = (part[0] for part in modulation.scale_and_shift(ipr))
    if norm.bias is not None:
        shift = shift + norm.bias * scale
    return weight * (norm.weight * scale), weight @ shift


def mixing_matrix(
    block: DynamicTransformerBlock,
    folded_qkv: tuple[Tensor, Tensor],
    x: Tensor,
    grid: Grid,
    tools: Tools,
) -> Tensor:
    """Pass 1: M, (C, C), which maps V to the output of attention."""
    dim = x.shape[-1]
    weight, bias = folded_qkv
    attention = block.attention
    of_qk = weight[: 2 * dim], bias[: 2 * dim]
    project = tools.kernels.normed_products(block.norm1, [of_qk], tools.memory)
    correlate = tools.kernels.correlator(attention.depthwise.weight[: 2 * dim])
    line = tools.line("first", grid.tallest, grid.width, 2 * dim)
    correlations = Correlations(dim, attention.num_heads, tools.device)
    for start, stop in tools.stripes(grid, correlation_work(block)):
        project(x[start:stop], [line.room(stop - start)])
        start, stop = finished(start, stop, grid.height)
        if start < stop:
            window = line.window(stop == grid.height)
            correlate(window, grid.pieces(start, stop), correlations)
    project_out = attention.project_out.weight[:, :, 0, 0].chunk(attention.num_heads, dim=1)
    heads = correlations.attention(attention.temperature)
    return torch.cat([out @ head for out, head in zip(project_out, heads, strict=True)], dim=1)


def attend(
    block: DynamicTransformerBlock,
    folded_qkv: tuple[Tensor, Tensor],
    matrix: Tensor,
    x: Tensor,
    grid: Grid,
    tools: Tools,
) -> Iterator[tuple[int, int]]:
    """Add M V to x, yielding the finished rows."""
    dim = x.shape[-1]
    weight, bias = folded_qkv
    of_v = weight[2 * dim :], bias[2 * dim :]
    project = tools.kernels.normed_products(block.norm1, [of_v], tools.memory)
    mix = tools.kernels.mixer(block.attention.depthwise.weight[2 * dim :], matrix)
    line = tools.line("first", grid.tallest, grid.width, dim)
    for start, stop in tools.stripes(grid, rest_work(block)):
        project(x[start:stop], [line.room(stop - start)])
        start, stop = finished(start, stop, grid.height)
        if start < stop:
            mix(line.window(stop == grid.height), x[start:stop])
            yield start, stop


def feed_forward(
    ffn: DGFN,
    norm: LayerNorm2d,
    folded_in: tuple[Tensor, Tensor],
    spans: Spans,
    x: Tensor,
    grid: Grid,
    tools: Tools,
) -> Iterator[tuple[int, int]]:
    """Add the feed-forward network's output to x, yielding the finished rows."""
    hidden = ffn.project_out.weight.shape[1]
    width = -(-hidden // ALIGN) * ALIGN
    halves = [
        (filled(weight, width), filled(bias, width))
        for weight, bias in zip(*(part.chunk(2) for part in folded_in), strict=True)
    ]
    project = tools.kernels.normed_products(norm, halves, tools.memory)
    kernels = (filled(part, width) for part in ffn.depthwise.weight.chunk(2))
    gated = tools.kernels.gate(*kernels)
    add = tools.kernels.adder(filled(ffn.project_out.weight[:, :, 0, 0].t(), width).t())
    lines = [tools.line(name, grid.tallest + 1, grid.width, width) for name in ("second", "third")]
    for start, stop in spans:
        project(x[start:stop], [line.room(stop - start) for line in lines])
        start, stop = finished(start, stop, grid.height)
        if start < stop:
            last = stop == grid.height
            add(gated(*(line.window(last) for line in lines)), x[start:stop])
            yield start, stop


def filled(weight: Tensor, length: int) -> Tensor:
    """Pad with rows of zeros: (length, …)."""
    return F.pad(weight, [0, 0] * (weight.ndim - 1) + [0, length - len(weight)])
