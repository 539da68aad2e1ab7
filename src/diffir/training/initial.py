"""What the makers of the IPR begin with."""

from torch import nn

from diffir.model import DiffIRS1, DiffIRS2
from diffir.model.cpen import LEAK, ConstantIPR

MAKERS = ("cpen", "narrow", "widen", "denoiser")


def he_initialised(model: DiffIRS1 | DiffIRS2) -> None:
    """Give CPEN and denoiser the weights of He et al. (arXiv 1502.01852), biases of 0.

    Under PyTorch's usual weights every layer shrinks what differs between pictures, and biases add
    the same to all: Z is nearly a constant before anything is learnt. A learnt constant gets the
    size that such a Z has.
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
        model.denoiser.begin_with_the_condition()
