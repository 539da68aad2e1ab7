"""The whole network for one picture, with all maps in one block of memory.

C channels, H × W positions of level 1. A row has W·C numbers at every level, half as many
positions with twice the channels each time, so 2C·H·W numbers hold the four levels at once:

    row 0  [ level 2 | level 1 ]     row 4  [ level 2 | level 1 ]
    row 1  [ level 3 | level 1 ]     row 5  [ level 3 | level 1 ]
    row 2  [ level 2 | level 1 ]     row 6  [ level 2 | level 1 ]
    row 3  [ latent  | level 1 ]     row 7  [         | level 1 ]     and so on

Skips are fused in place with what comes up. On the way up to level 1 a row takes both halves, as 2C
channels [coming up, skip], just after level 2 was read from it.
"""

from collections.abc import Callable

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from diffir.model import DiffIRConfig, DiffIRS2, DIRformer, DynamicTransformerBlock
from diffir.model.cpen import standardised
from diffir.model.prefill import prefilled

from .block import run_block
from .convolutions import down, embed, fuse, join, tail, up
from .cpen import extract
from .heap import give_back_gaps
from .plan import Plan
from .stripes import Grid
from .tools import Tools


def restore_picture(
    model: DiffIRS2,
    lq: Tensor,
    noise: Tensor,
    step_noise: Tensor | None,
    restored: Tensor,
    plan: Plan,
    tools: Tools,
    ipr_filter: Callable[[Tensor], Tensor] | None = None,
) -> None:
    """Fill `restored`, (3, scale · LQ's height, scale · LQ's width).

    Args:
        model: the network.
        lq: (in_channels, height, width).
        noise: (1, 4C').
        step_noise: (T, 1, 4C') for a chain with inserted variance.
        restored: receives the result.
        plan: for pictures of this size.
        tools: kernels, scratch memory and watch.
        ipr_filter: maps the estimated IPR, (1, 4C'), to the one to restore with.
    """
    if model.config.prefill:
        lq = prefilled(lq[None])[0]
    maps = tools.memory("maps", plan.map_numbers, dtype=lq.dtype)
    ipr = estimate_ipr(model, lq, noise, step_noise, maps, plan, tools)
    if ipr_filter is not None:
        ipr = ipr_filter(ipr)
    x = body(model.dirformer, model.config, lq, ipr, maps, plan, tools)
    for start, rows in tail(model.dirformer.output, x, plan.tail_grid, tools):
        part = restored[:, start : start + len(rows)]
        part.copy_(rows.permute(2, 0, 1))
        if model.config.global_residual:
            part += enlarged(lq, model.config.scale, start, start + len(rows))


def estimate_ipr(
    model: DiffIRS2,
    lq: Tensor,
    noise: Tensor,
    step_noise: Tensor | None,
    maps: Tensor,
    plan: Plan,
    tools: Tools,
) -> Tensor:
    """Ẑ, (1, 4C')."""
    grid = plan.cpen_grid
    x = view(maps, grid, model.config.ipr_dim // 4)
    if model.config.cpen_standardise:
        lq = standardised(lq[None], by=lq[None])[0]
    condition = extract(model.cpen, lq, model.config.cpen_unshuffle, x, grid, tools)
    if model.config.timesteps == 0:
        return condition
    return model.diffusion.denoise(model.denoiser, noise, condition, step_noise)[-1]


def body(
    network: DIRformer,
    config: DiffIRConfig,
    lq: Tensor,
    ipr: Tensor,
    maps: Tensor,
    plan: Plan,
    tools: Tools,
) -> Tensor:
    """Everything between the picture and the output layers: (H, W, 2C), which is `maps`."""
    grids, levels = plan.grids, level_views(maps, plan.grids, config.dim)
    embed(network.embed, lq, config.unshuffle, levels[0], grids[0], tools)
    for index, (encoder, layer) in enumerate(zip(network.encoders, network.downs, strict=True)):
        run_blocks(encoder, ipr, levels[index], grids[index], tools)
        down(first(layer), levels[index], grids[index], levels[index + 1], tools)
    run_blocks(network.latent, ipr, levels[3], grids[3], tools)
    for index, (layer, fusing) in enumerate(zip(network.ups, network.fuses, strict=True)):
        level = 2 - index
        coming = up(first(layer), levels[level + 1], grids[level + 1], tools)
        if level > 0:
            fuse(fusing, coming, levels[level], tools)
            run_blocks(network.decoders[index], ipr, levels[level], grids[level], tools)
    x = view(maps, grids[0], 2 * config.dim)
    join(coming, levels[0], x)
    run_blocks(network.decoders[2], ipr, x, grids[0], tools)
    run_blocks(network.refinement, ipr, x, grids[0], tools)
    return x


def first(layers: nn.Module) -> nn.Module:
    """The convolution before a pixel-shuffle or -unshuffle."""
    return next(layers.children())


def run_blocks(blocks: nn.Module, ipr: Tensor, x: Tensor, grid: Grid, tools: Tools) -> None:
    """Run all blocks of a level on x (H, W, C), in place."""
    for block in blocks.children():
        assert isinstance(block, DynamicTransformerBlock)
        run_block(block, ipr, x, grid, tools)
    give_back_gaps(x.untyped_storage().nbytes())


def view(maps: Tensor, grid: Grid, channels: int) -> Tensor:
    """A map (H, W, channels) at the beginning of `maps`."""
    size = grid.height * grid.width * channels
    return maps[:size].view(grid.height, grid.width, channels)


def level_views(maps: Tensor, grids: list[Grid], dim: int) -> list[Tensor]:
    """The maps of the four levels as views of `maps`: (H, W, C), (H/2, W/2, 2C) and so on."""
    rows = view(maps, grids[0], 2 * dim).view(grids[0].height, 2, -1)  # (H, 2, W·C)
    halves = rows[:, 1], rows[0::2, 0], rows[1::4, 0], rows[3::8, 0]
    return [
        rearrange(half, "h (w c) -> h w c", w=grid.width)
        for half, grid in zip(halves, grids, strict=True)
    ]


def enlarged(lq: Tensor, scale: int, start: int, stop: int) -> Tensor:
    """Rows start … stop of LQ enlarged by nearest neighbour."""
    part = lq[:3, start // scale : -(-stop // scale)]
    large = F.interpolate(part[None], scale_factor=float(scale), mode="nearest")[0]
    offset = start - start // scale * scale
    return large[:, offset : offset + stop - start]
