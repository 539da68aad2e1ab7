"""Initialisation of the parts that produce the IPR."""

from torch import nn

from diffir.model import DiffIRS1, DiffIRS2
from diffir.model.cpen import LEAK, ConstantIPR

MAKERS = ("cpen", "narrow", "widen", "denoiser")


def he_initialised(model: DiffIRS1 | DiffIRS2) -> None:
    """Initialise CPEN and denoiser as He et al. (arXiv 1502.01852), with biases of 0.

    With PyTorch's default, every layer shrinks the differences between pictures and adds a common
    bias, so that Z is almost constant at first. A learned constant gets the size of such a Z.
    """
    if isinstance(model.cpen, ConstantIPR):
        nn.init.normal_(model.cpen.ipr)
    parts = [part for name, part in model.named_children() if name in MAKERS]
    for layer in (layer for part in parts for layer in part.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, a=LEAK)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    if isinstance(model, DiffIRS2) and model.config.denoiser_residual:
        model.denoiser.zero_last_layer()
