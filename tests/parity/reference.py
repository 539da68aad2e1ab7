"""Reference numbers of the authors' networks at toy width, and the weights they were computed with.

Each task has one `.json` (names and shapes of the authors' parameters in order, seeds, scalars) and
one `.npz` (inputs and outputs, float32, computed in float64).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffir.checkpoints.names import our_name
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2

HERE = Path(__file__).parent
TOY = {"dim": 8, "num_blocks": (2, 1, 1, 1), "num_refinement_blocks": 1, "cpen_blocks": 1}
SR = {**TOY, "ffn_expansion": 2.2, "norm_bias": False, "upscale": 4}
CONFIGS = {
    "deblur": DiffIRConfig(**TOY),
    "sr_x4": DiffIRConfig(**SR),
    "sr_x2": DiffIRConfig(**SR, unshuffle=2),
    "sr_x1": DiffIRConfig(**SR, unshuffle=4),
    "inpaint": DiffIRConfig(
        **{**TOY, "num_refinement_blocks": 0},
        ffn_expansion=1.8,
        in_channels=4,
        global_residual=False,
    ),
}


def drawn_weights(names: list[tuple[str, list[int]]], seed: int) -> dict[str, Tensor]:
    """The weights that the reference was computed with: standard normals, scaled by kind."""
    draw = np.random.default_rng(seed)
    weights = {}
    for name, shape in names:
        values = draw.standard_normal(shape)
        if len(shape) >= 2:
            values = values / np.sqrt(np.prod(shape[1:]))
        elif name.endswith("weight"):
            values = 1 + 0.1 * values
        else:
            values = 0.1 * values
        if name.endswith("temperature"):
            values = 1 + 0.1 * values
        ours = our_name(name, cpen_blocks=1)
        assert ours is not None, f"{name} has no name here"
        weights[ours] = torch.from_numpy(values.astype(np.float32))
    return weights


@dataclass(frozen=True)
class Reference:
    """Both stages with the reference's weights, and what they should give."""

    facts: dict[str, Any]
    arrays: dict[str, Tensor]
    stage1: DiffIRS1
    stage2: DiffIRS2


def load_reference(task: str, dtype: torch.dtype) -> Reference:
    """The networks and arrays of a task in the given precision."""
    facts = json.loads((HERE / f"{task}.json").read_text())
    with np.load(HERE / f"{task}.npz") as file:
        arrays = {name: torch.from_numpy(file[name]).to(dtype) for name in file.files}
    stage1, stage2 = DiffIRS1(CONFIGS[task]), DiffIRS2(CONFIGS[task])
    stage1.load_state_dict(drawn_weights(facts["state_dict_stage1"], facts["seed_stage1"]))
    stage2.load_state_dict(drawn_weights(facts["state_dict_stage2"], facts["seed_stage2"]))
    return Reference(facts, arrays, stage1.to(dtype), stage2.to(dtype))
