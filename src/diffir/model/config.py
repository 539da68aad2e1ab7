"""DiffIRConfig: the architecture as numbers; tasks, widths and switches are values here."""

import math
from dataclasses import dataclass
from typing import Literal

MOST = 1000
"""Blocks of a level, and steps: far beyond any use, and what a file from elsewhere may ask for."""


@dataclass(frozen=True, kw_only=True)
class DiffIRConfig:
    """The numbers that make one network; the defaults are the published ones for deblurring.

    Raises:
        ValueError: when the numbers contradict each other.
    """

    in_channels: int = 3
    """Channels of LQ as the network sees it: RGB, or masked RGB and the mask (4)."""
    unshuffle: int = 1
    """Pixel-unshuffle before the first convolution; the body works at 1/unshuffle of LQ's size."""
    upscale: int = 1
    """What the pixel-shuffling tail enlarges; 1 is a single output convolution without a tail."""
    global_residual: bool = True
    """Add LQ (enlarged by nearest neighbour) to the output."""

    dim: int = 48
    """C, channels at level 1; level i has C · 2^i."""
    num_blocks: tuple[int, int, int, int] = (3, 5, 6, 6)
    """Blocks at each level, on the way down and again on the way up; the last is the latent."""
    num_refinement_blocks: int = 4
    num_heads: tuple[int, int, int, int] = (1, 2, 4, 8)
    ffn_expansion: float = 2.0
    norm_bias: bool = True
    """LayerNorm with bias; False is the bias-free form, which leaves the mean in."""

    ipr_dim: int = 256
    """4C', length of the IR prior representation Z."""
    cpen_blocks: int = 5
    """Residual blocks of CPEN."""
    cpen_reduction: float = 1
    """Further pixel-unshuffle of CPEN's input; 1 in the published models. 2 makes CPEN 4 times
    cheaper: in small SR networks, CPEN at LQ's full resolution costs more than DIRformer. At scale
    1 CPEN sees a quarter of the resolution; 0.25 shows it all, for 16 times the cost."""
    denoiser_layers: int = 1
    """N, layers of the denoiser after the first."""

    timesteps: int = 4
    """T, reverse steps. The noise schedule is rescaled so that Z_T is noise for every T. 0 leaves
    the diffusion out: the condition itself is the IPR (the paper's variant V1, worse)."""
    beta_start: float = 0.1
    beta_end: float = 0.99
    beta_schedule: Literal["scaled_linear", "linear"] = "scaled_linear"
    """Linear in √β (the published models) or in β (the paper's text)."""
    prediction: Literal["x0", "epsilon"] = "x0"
    """What the denoiser predicts: the clean IPR (published models) or the noise (the paper)."""
    insert_variance: bool = False
    """Add noise after every reverse step but the last (the paper's variant V4, worse)."""

    # Departures from the authors' form, whose setting is the default (docs/prior.md).
    identity_modulation: bool = False
    """Modulate by `(1 + W1 Z) ⊙ F + W2 Z`: a Z of 0 changes nothing."""
    ipr_norm: Literal["none", "batch"] = "none"
    """`batch`: stage 1 standardises each number of Z over the batch, in use by running moments."""
    cpen_standardise: bool = False
    """CPEN sees colours of mean 0 and standard deviation 1 over each LQ, GT by the same numbers:
    what blur does shows in ratios, and contrast differs more than they do."""
    cpen_pooling: Literal["mean", "mean_std", "mean_log_std"] = "mean"
    """What CPEN keeps of each channel's map: its mean, or its standard deviation, too, or the
    logarithm of that."""
    teacher_blur: float = 0.0
    """σ in GT pixels of a Gaussian blur on the ground truth that CPEN of stage 1 sees."""
    ipr_bottleneck: int = 0
    """Numbers that Z of stage 1 is made of, by two linear layers; 0 is all 4C' of CPEN, as they
    are. Few leak little of GT, and what is guessed then lies close together."""
    teacher_residual: bool = False
    """CPEN of stage 1 sees what GT has beyond LQ, enlarged by nearest neighbour, in place of GT:
    the same to a linear layer, but what was done to the picture is learnt from it much sooner."""
    denoiser_residual: bool = False
    """The denoiser predicts what the condition lacks: the chain begins to learn where CPEN alone
    would, and corrects it."""
    prefill: bool = False
    """Inpainting: begin with holes filled by averages of what is around, not with black ones."""
    constant_ipr: bool = False
    """Z is a vector that is learnt and the same for all pictures: a network without a prior, to
    hold others against. It wants timesteps 0, and stage 1 alone trains it."""

    def __post_init__(self) -> None:
        """Refuse numbers that no network can be built from."""
        if self.upscale not in (1, 2, 4) or self.unshuffle not in (1, 2, 4):
            raise ValueError(
                f"unshuffle {self.unshuffle} and upscale {self.upscale} found; "
                f"each must be 1, 2 or 4"
            )
        if self.scale not in (1, 2, 4):
            raise ValueError(
                f"upscale {self.upscale} over unshuffle {self.unshuffle} makes scale "
                f"{self.upscale / self.unshuffle:g}; this network takes 1, 2 or 4"
            )
        blocks = (*self.num_blocks, self.num_refinement_blocks, self.cpen_blocks)
        if not 0 <= min(blocks) <= max(blocks) <= MOST or self.timesteps > MOST:
            raise ValueError(
                f"blocks {blocks} and timesteps {self.timesteps} found; from 0 to {MOST} are wanted"
            )
        for level, heads in enumerate(self.num_heads):
            if heads < 1 or (self.dim << level) % heads:
                raise ValueError(
                    f"{heads} heads do not divide the {self.dim << level} channels "
                    f"of level {level + 1}"
                )
        least = self.scale / 4
        if self.cpen_reduction not in (0.25, 0.5, 1, 2) or self.cpen_reduction < least:
            raise ValueError(
                f"cpen_reduction {self.cpen_reduction:g} found at scale {self.scale}; it must be "
                f"0.25, 0.5, 1 or 2, and at this scale {least:g} or more"
            )
        if self.ipr_dim % 4 or self.ipr_dim < 4:
            raise ValueError(f"ipr_dim {self.ipr_dim} found; it must divide by 4")
        if self.dim < 2 or self.dim % 2 or self.timesteps < 0 or self.denoiser_layers < 1:
            raise ValueError(
                f"dim {self.dim}, timesteps {self.timesteps} and denoiser_layers "
                f"{self.denoiser_layers} found; at least 2 (even), 0 and 1 are needed"
            )
        if not 1 <= self.dim * self.ffn_expansion < math.inf:
            raise ValueError(
                f"ffn_expansion {self.ffn_expansion} found; it must leave a channel or more"
            )
        if self.insert_variance and not self.timesteps:
            raise ValueError("insert_variance with timesteps 0 found; there is no step to vary")
        if not 0 <= self.teacher_blur < math.inf:
            raise ValueError(f"teacher_blur {self.teacher_blur} found; it must be 0 or more")
        if not 0 <= self.ipr_bottleneck <= self.ipr_dim:
            raise ValueError(
                f"ipr_bottleneck {self.ipr_bottleneck} found; from 0 to {self.ipr_dim} is wanted"
            )
        if self.denoiser_residual and not (self.timesteps and self.prediction == "x0"):
            raise ValueError(
                f"denoiser_residual with timesteps {self.timesteps} and prediction "
                f"{self.prediction} found; it wants a chain that predicts x0, "
                f"so set it to false first"
            )
        if self.prefill and self.in_channels != 4:
            raise ValueError(f"prefill with {self.in_channels} channels found; it wants a mask, 4")
        if self.constant_ipr:
            self._refuse_what_a_constant_has_no_use_for()
        if not 0 < self.beta_start <= self.beta_end < 1:
            raise ValueError(
                f"beta from {self.beta_start} to {self.beta_end} found; "
                f"they must rise between 0 and 1"
            )

    def _refuse_what_a_constant_has_no_use_for(self) -> None:
        neutral = {
            "timesteps": 0,
            "ipr_norm": "none",
            "cpen_standardise": False,
            "cpen_pooling": "mean",
            "teacher_blur": 0,
            "teacher_residual": False,
            "ipr_bottleneck": 0,
        }
        for name, value in neutral.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"constant_ipr with {name} {getattr(self, name)} found; a constant is neither "
                    f"read off pictures nor guessed, so set {name} to {value}"
                )

    @property
    def scale(self) -> int:
        """How much larger the restored picture is than LQ: 1, 2 or 4."""
        return self.upscale // self.unshuffle

    @property
    def multiple_of(self) -> int:
        """What the sides of LQ must divide by: three halvings after the first unshuffle."""
        return 8 * self.unshuffle

    @property
    def cpen_unshuffle(self) -> int:
        """Pixel-unshuffle of LQ in front of CPEN; GT's is `scale` times as large, so they meet."""
        return int(self.cpen_reduction * 4) // self.scale

    @property
    def cpen_lq_channels(self) -> int:
        """Channels that LQ gives to CPEN."""
        return self.in_channels * self.cpen_unshuffle**2
