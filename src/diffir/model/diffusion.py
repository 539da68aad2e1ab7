"""IPRDiffusion: the noise schedule of the IPR, the forward process and the T reverse steps.

Timesteps are counted from 0 (almost clean) to T-1 (noise); the paper's t is one more.
"""

import itertools
import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from .config import DiffIRConfig

REFERENCE_STEPS = 4  # the paper's T, to which beta_start and beta_end refer

Predict = Callable[[Tensor, float, Tensor], Tensor]
"""(z (B, 4C'), scaled time, condition (B, 4C')) to the clean IPR or the noise, (B, 4C')."""


def noise_schedule(
    timesteps: int,
    start: float,
    end: float,
    schedule: Literal["scaled_linear", "linear"],
) -> tuple[float, ...]:
    """β for each timestep: from start to end at T = 4; for other T, ᾱ follows the same curve.

    A plain linspace at another T would not reach noise in Z_T (T = 1: β = 0.1), so log ᾱ of T = 4
    is interpolated at i/T and `β_i = 1 − ᾱ_i/ᾱ_{i−1}`.
    """
    if timesteps == 0:
        return ()
    power = 2 if schedule == "scaled_linear" else 1
    first, last = start ** (1 / power), end ** (1 / power)
    steps = REFERENCE_STEPS
    betas = [(first + (last - first) * i / (steps - 1)) ** power for i in range(steps)]
    if timesteps == steps:
        return tuple(betas)
    log_alpha_bar = [0.0]
    for beta in betas:
        log_alpha_bar.append(log_alpha_bar[-1] + math.log1p(-beta))

    def interpolated(position: float) -> float:
        left = min(int(position), steps - 1)
        rest = position - left
        return (1 - rest) * log_alpha_bar[left] + rest * log_alpha_bar[left + 1]

    path = [interpolated(i * steps / timesteps) for i in range(timesteps + 1)]
    return tuple(-math.expm1(new - old) for old, new in itertools.pairwise(path))


class IPRDiffusion:
    """The diffusion process on Z; its constants are Python floats, exact in every dtype."""

    def __init__(self, config: DiffIRConfig) -> None:
        self.timesteps = config.timesteps
        self.prediction = config.prediction
        self.insert_variance = config.insert_variance
        self.betas = noise_schedule(
            config.timesteps, config.beta_start, config.beta_end, config.beta_schedule
        )
        self.alphas = tuple(1 - beta for beta in self.betas)
        alpha_bar = [1.0]
        for alpha in self.alphas:
            alpha_bar.append(alpha_bar[-1] * alpha)
        self.alpha_bar = tuple(alpha_bar[1:])
        self.alpha_bar_before = tuple(alpha_bar[:-1])

    def add_noise(self, ipr: Tensor, noise: Tensor, t: int | None = None) -> Tensor:
        """Z_t (B, 4C') of the forward process: `√ᾱ_t Z + √(1−ᾱ_t) ε`; its end Z_T without a t."""
        left = self.alpha_bar[self.timesteps - 1 if t is None else t]
        return math.sqrt(left) * ipr + math.sqrt(1 - left) * noise

    def scaled_time(self, t: int) -> float:
        """The denoiser's time input for a timestep."""
        return t / (10 * self.timesteps)

    def denoise(
        self, predict: Predict, start: Tensor, condition: Tensor, step_noise: Tensor | None = None
    ) -> Tensor:
        """Run all T reverse steps, differentiably.

        Args:
            predict: the denoiser.
            start: (B, 4C'), Gaussian noise at inference, Z_T in training.
            condition: (B, 4C'), CPEN's output for LQ.
            step_noise: (T, B, 4C') Gaussian, required if and only if the configuration inserts
                variance; the last step adds none.

        Returns:
            (T, B, 4C'), the IPR after each step; the last is Ẑ.

        Raises:
            ValueError: when `step_noise` is missing or superfluous.
        """
        if self.insert_variance != (step_noise is not None):
            wanted = "needs" if self.insert_variance else "takes no"
            raise ValueError(
                f"a chain with insert_variance={self.insert_variance} {wanted} step_noise"
            )
        z, steps = start, []
        for t in reversed(range(self.timesteps)):
            predicted = predict(z, self.scaled_time(t), condition)
            z = self.step_mean(predicted, z, t)
            if step_noise is not None and t > 0:
                z = z + math.sqrt(self.posterior_variance(t)) * step_noise[self.timesteps - 1 - t]
            steps.append(z)
        return torch.stack(steps)

    def step_mean(self, predicted: Tensor, z: Tensor, t: int) -> Tensor:
        """Ẑ before step t, given the denoiser's prediction and Ẑ after it, without variance."""
        alpha, beta = self.alphas[t], self.betas[t]
        noise_share, noise_share_before = 1 - self.alpha_bar[t], 1 - self.alpha_bar_before[t]
        if self.prediction == "epsilon":
            return (z - beta / math.sqrt(noise_share) * predicted) / math.sqrt(alpha)
        clean_weight = beta * math.sqrt(self.alpha_bar_before[t]) / noise_share
        return clean_weight * predicted + noise_share_before * math.sqrt(alpha) / noise_share * z

    def posterior_variance(self, t: int) -> float:
        """Variance of q(z_{t-1} | z_t, z_0)."""
        return self.betas[t] * (1 - self.alpha_bar_before[t]) / (1 - self.alpha_bar[t])
