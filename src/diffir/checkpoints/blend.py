"""Networks between two that were trained one from the other (ESRGAN, Wang et al. 2018)."""

from dataclasses import replace
from pathlib import Path

import torch

from diffir.errors import WeightsError

from .checkpoint import Checkpoint


def blended(faithful: Checkpoint, detailed: Checkpoint, detail: float, path: Path) -> Checkpoint:
    """The network whose every weight lies at `detail` on the way from one network to the other.

    Args:
        faithful: where `detail` is 0: trained to be near the truth.
        detailed: where it is 1: trained on from there to look real.
        detail: from 0 to 1.
        path: of the second one's file.

    Raises:
        WeightsError: when the two are not networks of one form; `path` is what it blames.
    """
    forms = [(one.stage, one.task, one.config) for one in (faithful, detailed)]
    if forms[0] != forms[1]:
        raise WeightsError(
            f"{path} holds a network of another form than the one it should bring detail to; "
            "give one that was trained on from that, or leave the detail at 0"
        )
    theirs = detailed.model.state_dict()
    weights = {
        name: torch.lerp(tensor, theirs[name], detail) if tensor.is_floating_point() else tensor
        for name, tensor in faithful.model.state_dict().items()
    }
    faithful.model.load_state_dict(weights)
    return replace(faithful, training=faithful.training | {"detail": detail})
