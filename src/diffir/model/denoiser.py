"""Denoiser: noisy IPR, timestep and condition to the clean IPR (or to the noise in it)."""

import torch
from torch import Tensor, nn

from .cpen import LEAK


class Denoiser(nn.Module):
    """An MLP without residuals: the diffusion steps cost next to nothing beside DIRformer."""

    def __init__(self, ipr_dim: int, num_layers: int, signed: bool) -> None:
        """Build; `signed` leaves the last activation out, as a prediction of noise needs."""
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(2 * ipr_dim + 1, ipr_dim), nn.LeakyReLU(LEAK)]
        for _ in range(num_layers):
            layers += [nn.Linear(ipr_dim, ipr_dim), nn.LeakyReLU(LEAK)]
        if signed:
            layers.pop()
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor, time: float, condition: Tensor) -> Tensor:
        """Predict (B, 4C') from z (B, 4C'), the scaled timestep and the condition (B, 4C')."""
        t = z.new_full((z.shape[0], 1), time)
        return self.layers(torch.cat([condition, t, z], dim=1))
