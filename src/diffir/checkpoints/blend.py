"""Networks between two that were trained one from the other (ESRGAN, Wang et al. 2018)."""

from dataclasses import replace

import torch

from diffir.errors import WeightsError

from .checkpoint import Checkpoint


def blended(faithful: Checkpoint, detailed: Checkpoint, detail: float) -> Checkpoint:
    """The network whose every weight lies at `detail` on the way from one network to the other.

    Args:
        faithful: where `detail` is 0: trained to be near the truth.
        detailed: where it is 1: trained on from there to look real.
        detail: from 0 to 1.

    Raises:
        WeightsError: when the two are not networks of one form.
    """
    forms = [(one.stage, one.task, one.config) for one in (faithful, detailed)]
    if forms[0] != forms[1]:
        raise WeightsError(
            "two networks of different form found; weights between them can be had only where one "
            "was trained on from the other"
        )
    theirs = detailed.model.state_dict()
    weights = {
        name: torch.lerp(tensor, theirs[name], detail) if tensor.is_floating_point() else tensor
        for name, tensor in faithful.model.state_dict().items()
    }
    faithful.model.load_state_dict(weights)
    return replace(faithful, training=faithful.training | {"detail": detail})
