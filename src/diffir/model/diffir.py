"""DiffIRS1 and DiffIRS2: the networks of the two stages."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import DiffIRConfig
from .cpen import COLOURS, CPEN, LEAK, BatchStandardization, ConstantIPR, standardised
from .denoiser import Denoiser
from .diffusion import IPRDiffusion
from .dirformer import DIRformer
from .prefill import prefilled


def cpen_of(config: DiffIRConfig, in_channels: int, *, signed: bool = False) -> CPEN:
    """The CPEN of a config: pixel-unshuffled pictures (B, in_channels, H, W) to Z (B, 4C')."""
    if config.constant_ipr:
        return ConstantIPR(config.ipr_dim)
    return CPEN(in_channels, config.ipr_dim, config.cpen_blocks, config.cpen_pooling, signed)


def widening(few: int, ipr_dim: int) -> nn.Sequential:
    """From the bottleneck to Z; it ends in the same activation as CPEN."""
    return nn.Sequential(
        nn.Linear(few, ipr_dim), nn.LeakyReLU(LEAK), nn.Linear(ipr_dim, ipr_dim), nn.LeakyReLU(LEAK)
    )


class DiffIRS1(nn.Module):
    """Stage 1: CPEN extracts the IPR from LQ *and* ground truth, DIRformer learns to use it."""

    def __init__(self, config: DiffIRConfig) -> None:
        super().__init__()
        self.config = config
        self.gt_unshuffle = config.cpen_unshuffle * config.scale
        gt_channels = 3 * self.gt_unshuffle**2
        self.cpen = cpen_of(config, config.cpen_lq_channels + gt_channels)
        has_norm = config.ipr_norm == "batch"
        few, dim = config.ipr_bottleneck, config.ipr_dim
        self.narrow = nn.Linear(dim, few) if few else nn.Identity()
        self.widen = widening(few, dim) if few else nn.Identity()
        self.norm = BatchStandardization(dim) if has_norm else nn.Identity()
        self.dirformer = DIRformer(config)

    def extract_ipr(self, lq: Tensor, gt: Tensor) -> Tensor:
        """Z, (B, 4C'), from LQ (B, in_channels, H, W) and GT (B, 3, H·scale, W·scale)."""
        return self.ipr_of(self.extract_few(lq, gt))

    def ipr_of(self, few: Tensor) -> Tensor:
        """Z, (B, 4C'), from the output of `extract_few`, (B, ipr_bottleneck or 4C')."""
        return self.norm(self.widen(few))

    def extract_few(self, lq: Tensor, gt: Tensor) -> Tensor:
        """Z before widening and norm, (B, ipr_bottleneck or 4C'); arguments as `extract_ipr`."""
        if self.config.teacher_blur:
            gt = gaussian_blur(gt, self.config.teacher_blur)
        if self.config.prefill:
            lq = prefilled(lq)
        if self.config.cpen_standardise:
            lq, gt = standardised(lq, by=lq), standardised(gt, by=lq)
        if self.config.teacher_residual:
            gt = gt - F.interpolate(lq[:, :COLOURS], scale_factor=self.config.scale)
        lq = F.pixel_unshuffle(lq, self.config.cpen_unshuffle)
        seen = torch.cat([lq, F.pixel_unshuffle(gt, self.gt_unshuffle)], dim=1)
        return self.narrow(self.cpen(seen))

    def forward(self, lq: Tensor, gt: Tensor) -> Tensor:
        """Restore LQ with the IPR of its own ground truth; (B, 3, H·scale, W·scale)."""
        return self.dirformer(lq, self.extract_ipr(lq, gt))


class DiffIRS2(nn.Module):
    """Stage 2, for inference: diffusion predicts the IPR from LQ, DIRformer restores with it."""

    def __init__(self, config: DiffIRConfig) -> None:
        super().__init__()
        self.config = config
        has_both_signs = config.ipr_norm == "batch"
        self.cpen = cpen_of(
            config, config.cpen_lq_channels, signed=has_both_signs and not config.timesteps
        )
        if config.timesteps:
            self.denoiser = Denoiser(
                config.ipr_dim,
                config.denoiser_layers,
                signed=has_both_signs or config.prediction == "epsilon",
                residual=config.denoiser_residual,
            )
        self.diffusion = IPRDiffusion(config)
        self.dirformer = DIRformer(config)

    def extract_condition(self, lq: Tensor) -> Tensor:
        """The condition D, (B, 4C'), from LQ (B, in_channels, H, W)."""
        if self.config.prefill:
            lq = prefilled(lq)
        if self.config.cpen_standardise:
            lq = standardised(lq, by=lq)
        return self.cpen(F.pixel_unshuffle(lq, self.config.cpen_unshuffle))

    def estimate_ipr_steps(
        self, lq: Tensor, start: Tensor, step_noise: Tensor | None = None
    ) -> Tensor:
        """The IPR after each reverse step, (T, B, 4C'); arguments as `estimate_ipr`.

        Without diffusion (T = 0) it is the condition alone, (1, B, 4C').
        """
        condition = self.extract_condition(lq)
        if self.config.timesteps == 0:
            return condition[None]
        return self.diffusion.denoise(self.denoiser, start, condition, step_noise)

    def estimate_ipr(self, lq: Tensor, start: Tensor, step_noise: Tensor | None = None) -> Tensor:
        """Ẑ, (B, 4C').

        Args:
            lq: (B, in_channels, H, W) in [0, 1].
            start: (B, 4C'), Gaussian noise at inference, Z_T in training.
            step_noise: (T, B, 4C'), only for a chain with inserted variance.
        """
        return self.estimate_ipr_steps(lq, start, step_noise)[-1]

    def forward(self, lq: Tensor, noise: Tensor, step_noise: Tensor | None = None) -> Tensor:
        """Restore LQ (B, in_channels, H, W) from noise (B, 4C'); (B, 3, H·scale, W·scale).

        Only a chain with inserted variance takes `step_noise` (T, B, 4C').
        """
        return self.dirformer(lq, self.estimate_ipr(lq, noise, step_noise))


def gaussian_blur(pictures: Tensor, sigma: float) -> Tensor:
    """(B, C, H, W) blurred; border pixels are replicated."""
    radius = math.ceil(3 * sigma)
    places = torch.arange(-radius, radius + 1, device=pictures.device, dtype=pictures.dtype)
    kernel = (-0.5 * (places / sigma).square()).softmax(dim=0)
    channels = pictures.shape[1]
    row = kernel.expand(channels, 1, 1, -1)
    padded = F.pad(pictures, [radius] * 4, mode="replicate")
    blurred = F.conv2d(padded, row, groups=channels)
    return F.conv2d(blurred, row.transpose(2, 3), groups=channels)
