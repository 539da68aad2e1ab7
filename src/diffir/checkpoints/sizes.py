"""Infer a network's configuration from the names and shapes in an authors' file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from diffir.model import DiffIRConfig, IPRDiffusion

Shapes = Mapping[str, Sequence[int]]

LEVELS = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
INPUTS: dict[tuple[int, bool], tuple[str, DiffIRConfig]] = {
    (4, False): ("inpaint", DiffIRConfig(in_channels=4, global_residual=False)),
    (3, False): ("deblur", DiffIRConfig()),
    (3, True): ("sr", DiffIRConfig(upscale=4)),
    (12, True): ("sr", DiffIRConfig(upscale=4, unshuffle=2)),
    (48, True): ("sr", DiffIRConfig(upscale=4, unshuffle=4)),
}
"""Task and configuration, by channels of the first convolution and whether there is a tail."""
PUBLISHED_EXPANSIONS = (2.0, 2.2, 1.8, 2.66)


def task_and_config(shapes: Shapes) -> tuple[str, DiffIRConfig]:
    """Task and configuration of the network with these parameters (authors' names).

    Raises:
        LookupError: when a required parameter is missing, or has too few dimensions.
        ValueError: when no network has these shapes.
    """
    dim, channels = shapes["G.patch_embed.proj.weight"][:2]
    tail = "G.tail.1.weight" in shapes
    if (channels, tail) not in INPUTS:
        raise ValueError(f"{channels} input channels {'with' if tail else 'without'} a tail")
    task, config = INPUTS[channels, tail]
    attention = [f"G.{level}.0.attn" for level in LEVELS]
    blocks = [count(shapes, f"G.{level}", "attn.temperature") for level in LEVELS]
    heads = [shapes[f"{name}.temperature"][0] for name in attention]
    return task, replace(
        config,
        dim=dim,
        num_blocks=(blocks[0], blocks[1], blocks[2], blocks[3]),
        num_refinement_blocks=count(shapes, "G.refinement", "attn.temperature"),
        num_heads=(heads[0], heads[1], heads[2], heads[3]),
        ffn_expansion=ffn_expansion(
            {
                dim << level: shapes[f"G.{name}.0.ffn.project_in.weight"][0] // 2
                for level, name in enumerate(LEVELS)
            }
        ),
        norm_bias="G.encoder_level1.0.norm1.body.bias" in shapes,
        ipr_dim=shapes[f"{attention[0]}.kernel.0.weight"][1],
        cpen_blocks=count(shapes, "E.E", "body.0.weight")
        + count(shapes, "condition.E", "body.0.weight"),
        denoiser_layers=count(shapes, "denoise.resmlp", "resmlp.0.weight") or 1,
    )


def count(shapes: Shapes, prefix: str, leaf: str) -> int:
    """The number of entries `prefix.<index>.leaf`."""
    pattern = re.compile(rf"{re.escape(prefix)}\.\d+\.{re.escape(leaf)}")
    return sum(pattern.fullmatch(name) is not None for name in shapes)


def ffn_expansion(hidden: Mapping[int, int]) -> float:
    """The expansion with int(dim · expansion) = hidden width for every dim."""
    for expansion in (*PUBLISHED_EXPANSIONS, *(n / 100 for n in range(50, 801))):
        if all(int(dim * expansion) == width for dim, width in hidden.items()):
            return expansion
    raise ValueError(f"hidden FFN widths {list(hidden.values())} for dims {list(hidden)}")


def with_schedule(config: DiffIRConfig, betas: Sequence[float]) -> DiffIRConfig:
    """The configuration with this noise schedule; raises ValueError if it is not one of ours."""
    schedules: tuple[Literal["scaled_linear", "linear"], ...] = ("scaled_linear", "linear")
    for schedule in schedules:
        candidate = replace(config, timesteps=len(betas), beta_schedule=schedule)
        ours = IPRDiffusion(candidate).betas
        # 1e-4: float32 against float64, far from the 0.1 between the two schedules
        if all(abs(mine - theirs) <= 1e-4 for mine, theirs in zip(ours, betas, strict=True)):
            return candidate
    raise ValueError(f"noise schedule {[round(beta, 4) for beta in betas]}")
