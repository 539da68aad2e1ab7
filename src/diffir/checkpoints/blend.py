"""Interpolation between a network and its fine-tuned version (ESRGAN, Wang et al. 2018)."""

from dataclasses import replace
from pathlib import Path

import torch

from diffir.errors import WeightsError

from .checkpoint import Checkpoint


def blended(faithful: Checkpoint, detailed: Checkpoint, detail: float, path: Path) -> Checkpoint:
    """The network whose weights are interpolated: `(1 - detail) · faithful + detail · detailed`.

    Args:
        faithful: the network at 0, trained for small errors; it is changed in place.
        detailed: the network at 1, fine-tuned from the first to look realistic.
        detail: from 0 to 1.
        path: the file of the second.

    Raises:
        WeightsError: when stage, task or architecture differ; it names `path`.
    """
    kinds = [(one.stage, one.task, one.config) for one in (faithful, detailed)]
    if kinds[0] != kinds[1]:
        raise WeightsError(
            f"{path} holds another kind of network than the one it should add detail to; "
            "give one that was fine-tuned from it, or leave the detail at 0"
        )
    theirs = detailed.model.state_dict()
    weights = {
        name: torch.lerp(tensor, theirs[name], detail) if tensor.is_floating_point() else tensor
        for name, tensor in faithful.model.state_dict().items()
    }
    faithful.model.load_state_dict(weights)
    return replace(faithful, training=faithful.training | {"detail": detail})
