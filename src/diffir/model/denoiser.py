"""Denoiser: from the noisy IPR, timestep and condition to the clean IPR (or the noise in it)."""

import torch
from torch import Tensor, nn

from .cpen import LEAK


class Denoiser(nn.Module):
    """An MLP: the diffusion steps cost next to nothing beside DIRformer."""

    def __init__(
        self, ipr_dim: int, num_layers: int, signed: bool, *, residual: bool = False
    ) -> None:
        """Build.

        Args:
            ipr_dim: 4C'.
            num_layers: linear layers after the first.
            signed: whether to omit the last activation, as predicting noise requires.
            residual: whether to predict a correction to the condition, at first 0.
        """
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(2 * ipr_dim + 1, ipr_dim), nn.LeakyReLU(LEAK)]
        for _ in range(num_layers):
            layers += [nn.Linear(ipr_dim, ipr_dim), nn.LeakyReLU(LEAK)]
        if signed or residual:
            layers.pop()
        self.layers = nn.Sequential(*layers)
        self.residual = residual
        if residual:
            self.zero_last_layer()

    def zero_last_layer(self) -> None:
        """Make the last layer output zeros, so that the prediction is the condition."""
        for parameter in self.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, z: Tensor, time: float, condition: Tensor) -> Tensor:
        """Predict (B, 4C') from z (B, 4C'), the scaled timestep and the condition (B, 4C')."""
        t = z.new_full((z.shape[0], 1), time)
        predicted = self.layers(torch.cat([condition, t, z], dim=1))
        return condition + predicted if self.residual else predicted
