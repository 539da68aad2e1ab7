"""The authors' files, unchanged: `.pth` of BasicSR, Lightning `.ckpt`, bare state_dicts."""

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from diffir.errors import WeightsError
from diffir.model.config import MOST
from diffir.text import few

from .checkpoint import Checkpoint, filled
from .names import our_name
from .sizes import task_and_config, with_schedule
from .torchfile import read_torch_file

PARTS = {1: ("G", "E"), 2: ("G", "condition", "denoise")}
"""The first words of the authors' parameter names, by stage."""
WRAPPERS = re.compile(r"^(module\.|generator\.|_orig_mod\.)*")
"""Prefixes of DataParallel, Lightning and torch.compile."""
IGNORED = re.compile(r"(generatorS1|discriminator|loss_\w+|\w*evaluators?|diffusion)\..*")
"""Needed only for training and validation; of diffusion, constants and duplicates."""


def read(path: Path) -> Checkpoint:
    """The network of an authors' file, float32 on the CPU; stage, task and sizes are inferred.

    What weights do not show is as in the authors' code: β from 0.1 to 0.99, x0-prediction.

    Raises:
        WeightsError: when the file is broken, holds more than data, or is of another network.
    """
    return from_stored(read_torch_file(path), path, path.stat().st_size)


def from_stored(stored: Any, path: Path, size: int | None = None) -> Checkpoint:
    """The network in the content of an authors' file of `size` bytes; errors name `path`."""
    weights = _network_weights(stored, path)
    words = {name.partition(".")[0] for name in weights}
    stage = 2 if "condition" in words else 1
    if not words.issuperset(PARTS[stage]):
        raise WeightsError(
            f"{path} holds {few(words) or 'nothing'}; a DiffIR network has "
            f"{' and '.join(PARTS[1])} (stage 1) or {', '.join(PARTS[2])} (stage 2)"
        )
    try:
        task, config = task_and_config({name: tensor.shape for name, tensor in weights.items()})
        if "diffusion.betas" in weights:
            betas = weights["diffusion.betas"]
            if betas.numel() > MOST:
                raise ValueError(f"{betas.numel()} steps of diffusion")
            config = with_schedule(config, betas.flatten().tolist())
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        reason = f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise WeightsError(
            f"{path} does not hold a network of the authors' code ({reason}); get another file"
        ) from error
    tensors = _ours(weights, stage, config.cpen_blocks, path)
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if size is not None and claimed > size:  # tensors of stride 0 repeat what is stored
        raise WeightsError(f"{path} claims larger tensors than it stores; get another copy")
    model = filled(stage, config, tensors, path)
    return Checkpoint(model=model, task=task, training={"converted_from": path.name})


def _network_weights(stored: Any, path: Path) -> dict[str, Tensor]:
    """The parameters by the authors' names, without the prefixes of wrappers of the network."""
    if isinstance(stored, dict):
        inside = (stored.get(key) for key in ("params_ema", "params", "state_dict"))
        stored = next((one for one in inside if isinstance(one, dict) and one), stored)
    if not isinstance(stored, dict) or not all(isinstance(name, str) for name in stored):
        raise WeightsError(f"{path} holds no named parameters; a state_dict is wanted")
    strange = [name for name, value in stored.items() if not isinstance(value, Tensor)]
    if strange:
        raise WeightsError(
            f"{path} holds {few(strange)} without tensors; a state_dict of a network is wanted"
        )
    weights: dict[str, Tensor] = {}
    for prefixed, tensor in stored.items():
        name = WRAPPERS.sub("", prefixed)
        if name in weights:
            raise WeightsError(
                f"{path} holds {name} twice, with different prefixes; keep one of them"
            )
        weights[name] = tensor
    return weights


def _ours(
    weights: dict[str, Tensor], stage: int, cpen_blocks: int, path: Path
) -> dict[str, Tensor]:
    """The parameters by our names."""
    tensors, unknown = {}, []
    for name, tensor in weights.items():
        known = our_name(name, cpen_blocks) if name.partition(".")[0] in PARTS[stage] else None
        if known is not None:
            tensors[known] = tensor
        elif not IGNORED.fullmatch(name):
            unknown.append(name)
    if unknown:
        raise WeightsError(
            f"{path} holds {few(unknown)}, unknown in a network of stage {stage}; "
            "get another file, or remove these"
        )
    return tensors
