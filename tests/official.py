"""Fabricates files as the authors' code writes them, from toy networks of ours."""

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2
from diffir.presets import PRESETS

LISTS = {
    "encoders.0": "encoder_level1",
    "encoders.1": "encoder_level2",
    "encoders.2": "encoder_level3",
    "decoders.0": "decoder_level3",
    "decoders.1": "decoder_level2",
    "decoders.2": "decoder_level1",
}
WORDS = {
    "modulation1.linear": "attn.kernel.0",
    "modulation2.linear": "ffn.kernel.0",
    "attention.depthwise": "attn.qkv_dwconv",
    "attention": "attn",
    "ffn.depthwise": "ffn.dwconv",
    "norm1": "norm1.body",
    "norm2": "norm2.body",
}
SINGLES = {
    "embed": "patch_embed.proj",
    "downs.0.0": "down1_2.body.0",
    "downs.1.0": "down2_3.body.0",
    "downs.2.0": "down3_4.body.0",
    "ups.0.0": "up4_3.body.0",
    "ups.1.0": "up3_2.body.0",
    "ups.2.0": "up2_1.body.0",
    "fuses.0": "reduce_chan_level3",
    "fuses.1": "reduce_chan_level2",
    "output": "output",
    "output.0": "tail.0.0",
    "output.2": "tail.0.2",
    "output.4": "tail.1",
}


def toy(preset: str, **changes: Any) -> DiffIRConfig:
    """A published network's numbers, but 8 channels, few blocks and an IPR of 32."""
    narrow = {"dim": 8, "num_blocks": (2, 1, 1, 1), "ipr_dim": 32, "cpen_blocks": 2}
    published = PRESETS[preset].config
    refinement = min(published.num_refinement_blocks, 2)
    return replace(published, **{**narrow, "num_refinement_blocks": refinement, **changes})


def network(stage: int, config: DiffIRConfig, seed: int = 0) -> DiffIRS1 | DiffIRS2:
    torch.manual_seed(seed)
    return (DiffIRS1 if stage == 1 else DiffIRS2)(config).eval()


def run(model: DiffIRS1 | DiffIRS2) -> Tensor:
    """The network's answer to fixed noise."""
    config = model.config
    draw = torch.Generator().manual_seed(7)
    side = config.multiple_of
    lq = torch.rand(1, config.in_channels, side, side, generator=draw)
    noise = torch.randn(1, config.ipr_dim, generator=draw)
    gt = torch.rand(1, 3, side * config.scale, side * config.scale, generator=draw)
    with torch.no_grad():
        return model(lq, gt if isinstance(model, DiffIRS1) else noise)


def dirformer_name(name: str) -> str:
    name, leaf = name.rsplit(".", 1)
    if name in SINGLES:
        return f"G.{SINGLES[name]}.{leaf}"
    for ours, theirs in {**LISTS, **WORDS}.items():
        name = re.sub(rf"(^|(?<=\.)){re.escape(ours)}(?=\.|$)", theirs, name)
    return f"G.{name}.{leaf}"


def cpen_name(name: str, cpen_blocks: int) -> str:
    part, index, rest = name.split(".", 2)
    if part == "mlp":
        return f"mlp.{index}.{rest}"
    first = {"embed": 0, "blocks": 2, "expand": 2 + cpen_blocks}[part]
    return f"E.{first + int(index)}.{rest}"


def denoiser_name(name: str) -> str:
    _, index, leaf = name.split(".")
    return f"resmlp.0.{leaf}" if index == "0" else f"resmlp.{int(index) // 2 + 1}.resmlp.0.{leaf}"


def authors_state(model: DiffIRS1 | DiffIRS2) -> dict[str, Tensor]:
    """The network's parameters as the authors name them, with constants and copies in stage 2."""
    state = {}
    for name, tensor in model.state_dict().items():
        part, _, rest = name.partition(".")
        if part == "dirformer":
            state[dirformer_name(rest)] = tensor
        elif part == "denoiser":
            state[f"denoise.{denoiser_name(rest)}"] = tensor
            state[f"diffusion.model.{denoiser_name(rest)}"] = tensor
        else:
            theirs = cpen_name(rest, model.config.cpen_blocks)
            if isinstance(model, DiffIRS1):
                state[f"E.{theirs}"] = tensor
            else:
                state[f"condition.{theirs}"] = tensor
                state[f"diffusion.condition.{theirs}"] = tensor
    if isinstance(model, DiffIRS2):
        betas = torch.tensor(model.diffusion.betas)
        state["diffusion.betas"] = betas
        state["diffusion.alphas_cumprod"] = (1 - betas).cumprod(0)
    return state


def write_pth(path: Path, model: DiffIRS1 | DiffIRS2, key: str = "params_ema") -> Path:
    torch.save({key: authors_state(model)}, path)
    return path


def write_lightning(path: Path, model: DiffIRS1 | DiffIRS2) -> Path:
    """A checkpoint of LaMa's trainer: other networks, callbacks and OmegaConf objects beside."""
    state = {f"generator.{name}": tensor for name, tensor in authors_state(model).items()}
    other = torch.zeros(2)
    state |= {
        "generatorS1.G.patch_embed.proj.weight": other,
        "discriminator.model0.0.weight": other,
        "loss_resnet_pl.impl.conv1.weight": other,
        "val_evaluator.scores.lpips.lpips_model.lin0.weight": other,
    }
    with foreign_modules() as (config, metadata, model_checkpoint):
        metadata.__dict__ |= {"ref_type": Any, "object_type": dict, "resolver_cache": cache()}
        config.__dict__ |= {"_metadata": metadata, "_content": {"lr": 0.1}}
        stored = {
            "epoch": 39,
            "global_step": 1000,
            "pytorch-lightning_version": "1.2.9",
            "state_dict": state,
            "callbacks": {model_checkpoint: {"best_model_score": torch.tensor(1.0)}},
            "optimizer_states": [{"state": {0: {"exp_avg": other}}, "param_groups": [{"lr": 1}]}],
            "lr_schedulers": [],
            "hparams_name": "config",
            "hyper_parameters": config,
        }
        torch.save(stored, path)
    return path


def cache() -> defaultdict[str, dict[str, int]]:
    filled: defaultdict[str, dict[str, int]] = defaultdict(dict)
    filled["now"]["year"] = 2023
    return filled


@contextmanager
def foreign_modules() -> Iterator[tuple[Any, Any, type]]:
    """A DictConfig, a ContainerMetadata and the class ModelCheckpoint, gone when the block ends."""
    names = {
        "omegaconf.dictconfig": "DictConfig",
        "omegaconf.base": "ContainerMetadata",
        "pytorch_lightning.callbacks.model_checkpoint": "ModelCheckpoint",
    }
    before = dict(sys.modules)
    classes = []
    for module_name, name in names.items():
        parts = module_name.split(".")
        for end in range(1, len(parts) + 1):
            parent = ".".join(parts[:end])
            sys.modules[parent] = ModuleType(parent)
        classes.append(type(name, (), {"__module__": module_name}))
        setattr(sys.modules[module_name], name, classes[-1])
    try:
        yield classes[0](), classes[1](), classes[2]
    finally:
        for name in set(sys.modules) - set(before):
            if name.partition(".")[0] in ("omegaconf", "pytorch_lightning"):
                del sys.modules[name]
        sys.modules.update(before)
