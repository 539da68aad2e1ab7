"""From the authors' parameter names to ours: tables, and one function per part."""

import re

BLOCK = {
    "attn.kernel.0": "modulation1.linear",
    "attn.qkv_dwconv": "attention.depthwise",
    "attn.qkv": "attention.qkv",
    "attn.project_out": "attention.project_out",
    "attn.temperature": "attention.temperature",
    "ffn.kernel.0": "modulation2.linear",
    "ffn.dwconv": "ffn.depthwise",
    "ffn.project_in": "ffn.project_in",
    "ffn.project_out": "ffn.project_out",
    "norm1.body": "norm1",
    "norm2.body": "norm2",
}
LEVELS = {
    "encoder_level1": "encoders.0",
    "encoder_level2": "encoders.1",
    "encoder_level3": "encoders.2",
    "latent": "latent",
    "decoder_level3": "decoders.0",
    "decoder_level2": "decoders.1",
    "decoder_level1": "decoders.2",
    "refinement": "refinement",
}
SINGLES = {
    "patch_embed.proj": "embed",
    "down1_2.body.0": "downs.0.0",
    "down2_3.body.0": "downs.1.0",
    "down3_4.body.0": "downs.2.0",
    "up4_3.body.0": "ups.0.0",
    "up3_2.body.0": "ups.1.0",
    "up2_1.body.0": "ups.2.0",
    "reduce_chan_level3": "fuses.0",
    "reduce_chan_level2": "fuses.1",
    "output": "output",
    "tail.0.0": "output.0",
    "tail.0.2": "output.2",
    "tail.1": "output.4",
}


def alternatives(names: dict[str, str]) -> str:
    """A pattern that matches exactly one of the names."""
    return "(" + "|".join(re.escape(name) for name in names) + ")"


BLOCK_NAME = re.compile(rf"{alternatives(LEVELS)}\.(\d+)\.{alternatives(BLOCK)}(\.weight|\.bias)?")
SINGLE_NAME = re.compile(rf"{alternatives(SINGLES)}(\.weight|\.bias)")
CPEN_BLOCK_NAME = re.compile(r"E\.(\d+)\.body\.([02])(\.weight|\.bias)")
CPEN_NAME = re.compile(r"E\.(\d+)(\.weight|\.bias)")
CPEN_MLP_NAME = re.compile(r"mlp\.([02])(\.weight|\.bias)")
DENOISER_NAME = re.compile(r"resmlp\.(\d+)(?:\.resmlp\.0)?(\.weight|\.bias)")


def dirformer_name(name: str) -> str | None:
    """Our name of a parameter of the authors' `G`, None if they have no such parameter."""
    if match := BLOCK_NAME.fullmatch(name):
        level, index, layer, leaf = match.groups(default="")
        return f"dirformer.{LEVELS[level]}.{index}.{BLOCK[layer]}{leaf}"
    if match := SINGLE_NAME.fullmatch(name):
        single, leaf = match.groups()
        return f"dirformer.{SINGLES[single]}{leaf}"
    return None


def cpen_name(name: str, cpen_blocks: int) -> str | None:
    """Our name of a parameter of the authors' CPEN, one list there and three parts here."""
    if match := CPEN_BLOCK_NAME.fullmatch(name):
        index, convolution, leaf = match.groups()
        return f"cpen.blocks.{int(index) - 2}.body.{convolution}{leaf}"
    if match := CPEN_NAME.fullmatch(name):
        index, leaf = match.groups()
        if index == "0":
            return f"cpen.embed.0{leaf}"
        return f"cpen.expand.{int(index) - 2 - cpen_blocks}{leaf}"
    if match := CPEN_MLP_NAME.fullmatch(name):
        index, leaf = match.groups()
        return f"cpen.mlp.{index}{leaf}"
    return None


def denoiser_name(name: str) -> str | None:
    """Our name of a parameter of the authors' denoiser, whose layers after the first are nested."""
    if match := DENOISER_NAME.fullmatch(name):
        index, leaf = match.groups()
        layer = 0 if index == "0" else 2 * (int(index) - 1)
        return f"denoiser.layers.{layer}{leaf}"
    return None


def our_name(name: str, cpen_blocks: int) -> str | None:
    """Our name of a parameter in an authors' file of either stage, None if it is unknown."""
    part, _, rest = name.partition(".")
    if part == "G":
        return dirformer_name(rest)
    if part in ("E", "condition"):
        return cpen_name(rest, cpen_blocks)
    if part == "denoise":
        return denoiser_name(rest)
    return None
