"""Infer a network's configuration from the names and shapes in a file of ours, without metadata.

What names and shapes don't show is as in the presets: the diffusion (T = 4, β scaled linearly,
x0-prediction), the residual around the network, prefilled holes (in the lite network only), plain
modulation and, if CPEN pools deviations too, everything that belongs to a guided prior.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from diffir.checkpoints.sizes import count, ffn_expansion
from diffir.model import DiffIRConfig
from diffir.presets.preset import GUIDED

Shapes = Mapping[str, Sequence[int]]

LEVELS = ("encoders.0", "encoders.1", "encoders.2", "latent")
INPUTS = {3 * side**2: (3, side) for side in (1, 2, 4)} | {4 * s**2: (4, s) for s in (1, 2, 4)}
"""Channels of the picture and pixel-unshuffle, by channels of the first convolution."""


def config_of(shapes: Shapes) -> DiffIRConfig:
    """The configuration of the stage-2 network with these parameters.

    Raises:
        LookupError: when a required parameter is missing, or has too few dimensions.
        ValueError: when no network has these shapes.
    """
    dim, embedded = shapes["dirformer.embed.weight"][:2]
    if embedded not in INPUTS:
        raise ValueError(f"{embedded} input channels")
    channels, unshuffle = INPUTS[embedded]
    upscale = 2 ** sum(f"dirformer.output.{place}.bias" in shapes for place in (2, 4))
    first = [f"dirformer.{level}.0" for level in LEVELS]
    blocks = [count(shapes, f"dirformer.{level}", "attention.temperature") for level in LEVELS]
    heads = [shapes[f"{block}.attention.temperature"][0] for block in first]
    hidden = [shapes[f"{block}.ffn.project_in.weight"][0] // 2 for block in first]
    ipr_dim, pooled = shapes["cpen.mlp.0.weight"][:2]
    cpen_unshuffle = _root(shapes["cpen.embed.0.weight"][1] // channels)
    config = DiffIRConfig(
        in_channels=channels,
        unshuffle=unshuffle,
        upscale=upscale,
        # Inpainting networks at half the resolution are lite networks.
        global_residual=channels == 3 or unshuffle == 2,
        prefill=channels == 4 and unshuffle == 2,
        dim=dim,
        num_blocks=(blocks[0], blocks[1], blocks[2], blocks[3]),
        num_refinement_blocks=count(shapes, "dirformer.refinement", "attention.temperature"),
        num_heads=(heads[0], heads[1], heads[2], heads[3]),
        ffn_expansion=ffn_expansion({dim << level: width for level, width in enumerate(hidden)}),
        norm_bias=f"{first[0]}.norm1.bias" in shapes,
        ipr_dim=ipr_dim,
        cpen_blocks=count(shapes, "cpen.blocks", "body.0.weight"),
        cpen_reduction=cpen_unshuffle * upscale / (4 * unshuffle),
        denoiser_layers=count(shapes, "denoiser.layers", "weight") - 1,
    )
    taught = GUIDED | {"denoiser_layers": config.denoiser_layers}
    return replace(config, **taught) if pooled == 2 * ipr_dim else config


def _root(square: int) -> int:
    return round(square**0.5)
