"""DIRformer: a four-level U-Net of dynamic transformer blocks guided by the IPR.

B batch, C channels, H × W positions of the first convolution's output (LQ, unshuffled).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .blocks import DynamicTransformerBlock
from .config import DiffIRConfig
from .prefill import prefilled


def downsample(dim: int) -> nn.Sequential:
    """Half the resolution, twice the channels."""
    return nn.Sequential(nn.Conv2d(dim, dim // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))


def upsample(dim: int) -> nn.Sequential:
    """Twice the resolution, half the channels."""
    return nn.Sequential(nn.Conv2d(dim, 2 * dim, 3, padding=1, bias=False), nn.PixelShuffle(2))


def upscaling_tail(dim: int, upscale: int) -> nn.Sequential:
    """A convolution and pixel-shuffle for every doubling, then a convolution to RGB."""
    doublings: list[nn.Module] = []
    for _ in range(upscale.bit_length() - 1):
        doublings += [nn.Conv2d(dim, 4 * dim, 3, padding=1), nn.PixelShuffle(2)]
    return nn.Sequential(*doublings, nn.Conv2d(dim, 3, 3, padding=1))


class Level(nn.ModuleList):
    """The blocks of one level of the U-Net."""

    recompute = False
    """Gradient checkpointing: keep only the blocks' inputs and recompute the rest."""

    def forward(self, x: Tensor, ipr: Tensor) -> Tensor:
        for block in self:
            again = self.recompute and torch.is_grad_enabled()
            x = checkpoint(block, x, ipr, use_reentrant=False) if again else block(x, ipr)
        return x


class DIRformer(nn.Module):
    """Restores LQ, guided by an IPR, in one pass."""

    def __init__(self, config: DiffIRConfig) -> None:
        super().__init__()
        self.scale = config.scale
        self.global_residual = config.global_residual
        self.prefill = config.prefill
        self.unshuffle = nn.PixelUnshuffle(config.unshuffle)
        dims = [config.dim << level for level in range(4)]

        def blocks(dim: int, heads: int, depth: int) -> Level:
            return Level(
                DynamicTransformerBlock(
                    dim,
                    heads,
                    config.ffn_expansion,
                    config.norm_bias,
                    config.ipr_dim,
                    config.identity_modulation,
                )
                for _ in range(depth)
            )

        levels = list(zip(dims, config.num_heads, config.num_blocks, strict=True))
        self.embed = nn.Conv2d(
            config.in_channels * config.unshuffle**2, dims[0], 3, padding=1, bias=False
        )
        self.encoders = nn.ModuleList(blocks(*level) for level in levels[:3])
        self.downs = nn.ModuleList(downsample(dim) for dim in dims[:3])
        self.latent = blocks(*levels[3])
        # The decoder's lists run from the coarsest level to the finest.
        self.ups = nn.ModuleList(upsample(dim) for dim in dims[:0:-1])
        self.fuses = nn.ModuleList(
            [
                nn.Conv2d(2 * dims[2], dims[2], 1, bias=False),
                nn.Conv2d(2 * dims[1], dims[1], 1, bias=False),
                nn.Identity(),  # level 1 keeps the 2C channels of the concatenation
            ]
        )
        self.decoders = nn.ModuleList(
            blocks(dim, heads, depth)
            for dim, (_, heads, depth) in zip(
                (dims[2], dims[1], 2 * dims[0]), levels[2::-1], strict=True
            )
        )
        self.refinement = blocks(2 * dims[0], config.num_heads[0], config.num_refinement_blocks)
        self.output = (
            upscaling_tail(2 * dims[0], config.upscale)
            if config.upscale > 1
            else nn.Conv2d(2 * dims[0], 3, 3, padding=1, bias=False)
        )

    def forward(self, lq: Tensor, ipr: Tensor) -> Tensor:
        """Restore.

        Args:
            lq: (B, in_channels, H·unshuffle, W·unshuffle) in [0, 1]; H and W multiples of 8.
            ipr: (B, 4C').

        Returns:
            (B, 3, scale · LQ's height, scale · LQ's width), not clamped.
        """
        if self.prefill:
            lq = prefilled(lq)
        x = self.embed(self.unshuffle(lq))  # (B, C, H, W)
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x, ipr)
            skips.append(x)
            x = down(x)
        x = self.latent(x, ipr)  # (B, 8C, H/8, W/8)
        for up, fuse, decoder in zip(self.ups, self.fuses, self.decoders, strict=True):
            x = fuse(torch.cat([up(x), skips.pop()], dim=1))
            x = decoder(x, ipr)
        x = self.refinement(x, ipr)  # (B, 2C, H, W)
        restored = self.output(x)
        if self.global_residual:
            rgb = lq[:, :3]
            restored = restored + F.interpolate(rgb, scale_factor=float(self.scale), mode="nearest")
        return restored
