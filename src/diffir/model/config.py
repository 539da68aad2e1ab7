"""DiffIRConfig: everything that defines a network's architecture, as values."""

import math
from dataclasses import dataclass
from typing import Literal

MOST = 1000
"""Limit on the blocks of a level and on the steps, against absurd values in untrusted files."""


@dataclass(frozen=True, kw_only=True)
class DiffIRConfig:
    """The architecture of a network; the defaults are the published deblurring network.

    Raises:
        ValueError: when values are out of range or contradict each other.
    """

    in_channels: int = 3
    """Channels of the network's input: RGB (3), or masked RGB and the mask (4)."""
    unshuffle: int = 1
    """Pixel-unshuffle before the first convolution; the body works at 1/unshuffle of LQ's size."""
    upscale: int = 1
    """Factor of the pixel-shuffle tail; 1 is a single output convolution without a tail."""
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
    """LayerNorm with bias; False is the bias-free form, which does not subtract the mean."""

    ipr_dim: int = 256
    """4C', length of the IR prior representation (IPR) Z."""
    cpen_blocks: int = 5
    """Residual blocks of CPEN."""
    cpen_reduction: float = 1
    """Further pixel-unshuffle of CPEN's input; 1 in the published models. 2 makes CPEN 4 times
    cheaper: in small SR networks, CPEN at LQ's full resolution costs more than DIRformer. At scale
    1, CPEN works at a quarter of LQ's resolution; 0.25 is the full one, at 16 times the cost."""
    denoiser_layers: int = 1
    """N, layers of the denoiser after the first."""

    timesteps: int = 4
    """T, reverse steps. The noise schedule is rescaled so that Z_T is noise for every T. 0 omits
    the diffusion: the condition itself is the IPR (the paper's variant V1, worse)."""
    beta_start: float = 0.1
    beta_end: float = 0.99
    beta_schedule: Literal["scaled_linear", "linear"] = "scaled_linear"
    """Linear in √β (the published models) or in β (the paper's text)."""
    prediction: Literal["x0", "epsilon"] = "x0"
    """What the denoiser predicts: the clean IPR (published models) or the noise (the paper)."""
    insert_variance: bool = False
    """Add noise after every reverse step but the last (the paper's variant V4, worse)."""

    # Departures from the authors' form; the defaults are theirs (docs/prior.md).
    identity_modulation: bool = False
    """Modulate by `(1 + W1 Z) ⊙ F + W2 Z`: a Z of 0 changes nothing."""
    ipr_norm: Literal["none", "batch"] = "none"
    """`batch`: stage 1 standardises each element of Z over the batch, in eval mode by running
    moments."""
    cpen_standardise: bool = False
    """Standardise CPEN's input to mean 0 and standard deviation 1 over each LQ, GT by the same
    numbers: blur changes ratios, which vary less than the contrast of pictures."""
    cpen_pooling: Literal["mean", "mean_std", "mean_log_std"] = "mean"
    """What CPEN keeps of each channel's map: its mean, and its standard deviation or the logarithm
    of that."""
    teacher_blur: float = 0.0
    """σ, in GT pixels, of a Gaussian blur applied to the ground truth that stage 1's CPEN sees."""
    ipr_bottleneck: int = 0
    """Width of a bottleneck from which two linear layers make stage 1's Z; 0 is none. A narrow one
    leaks little of GT, and makes Z easier to predict."""
    teacher_residual: bool = False
    """Stage 1's CPEN sees GT minus LQ (enlarged by nearest neighbour) instead of GT: equivalent to
    a linear layer, but the degradation is learned from it much sooner."""
    denoiser_residual: bool = False
    """The denoiser predicts a correction to the condition: at first the chain does what CPEN alone
    would."""
    prefill: bool = False
    """Inpainting: fill the holes with averages of their surroundings first, instead of black."""
    constant_ipr: bool = False
    """Z is a learned vector, the same for all pictures: a network without a prior, as a baseline.
    It requires timesteps 0, and only stage 1 trains it."""

    def __post_init__(self) -> None:
        """Refuse values from which no network can be built."""
        self._require_sizes()
        self._require_prior()
        if self.constant_ipr:
            self._require_neutral()

    def _require_sizes(self) -> None:
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
        steps = self.timesteps, self.denoiser_layers
        if not 0 <= min(blocks) <= max(blocks) <= MOST or max(steps) > MOST:
            raise ValueError(
                f"blocks {blocks}, timesteps and denoiser_layers {steps} found; "
                f"each must be between 0 and {MOST}"
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
            raise ValueError(f"ipr_dim {self.ipr_dim} found; it must be a multiple of 4")
        if self.dim < 2 or self.dim % 2 or self.timesteps < 0 or self.denoiser_layers < 1:
            raise ValueError(
                f"dim {self.dim}, timesteps {self.timesteps} and denoiser_layers "
                f"{self.denoiser_layers} found; at least 2 (even), 0 and 1 are needed"
            )
        if not 1 <= self.dim * self.ffn_expansion < math.inf:
            raise ValueError(
                f"ffn_expansion {self.ffn_expansion} found; it must leave at least one channel"
            )
        if self.prefill and self.in_channels != 4:
            raise ValueError(
                f"prefill with {self.in_channels} channels found; it needs a mask, 4 channels"
            )

    def _require_prior(self) -> None:
        if self.insert_variance and not self.timesteps:
            raise ValueError(
                "insert_variance with timesteps 0 found; it needs at least one reverse step"
            )
        if not 0 <= self.teacher_blur < math.inf:
            raise ValueError(f"teacher_blur {self.teacher_blur} found; it must be 0 or more")
        if not 0 <= self.ipr_bottleneck <= self.ipr_dim:
            raise ValueError(
                f"ipr_bottleneck {self.ipr_bottleneck} found; "
                f"it must be between 0 and {self.ipr_dim}"
            )
        if self.denoiser_residual and not (self.timesteps and self.prediction == "x0"):
            raise ValueError(
                f"denoiser_residual with timesteps {self.timesteps} and prediction "
                f"{self.prediction} found; it needs a chain that predicts x0, "
                f"so set it to false first"
            )
        if not 0 < self.beta_start <= self.beta_end < 1:
            raise ValueError(
                f"beta from {self.beta_start} to {self.beta_end} found; "
                f"they must rise between 0 and 1"
            )

    def _require_neutral(self) -> None:
        """Refuse settings that have no effect beside `constant_ipr`."""
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
                    f"extracted nor predicted, so set {name} to {value}"
                )

    @property
    def scale(self) -> int:
        """Size of the restored picture relative to LQ: 1, 2 or 4."""
        return self.upscale // self.unshuffle

    @property
    def multiple_of(self) -> int:
        """What LQ's sides must be multiples of: three halvings after the first unshuffle."""
        return 8 * self.unshuffle

    @property
    def cpen_unshuffle(self) -> int:
        """Pixel-unshuffle of LQ before CPEN; GT's is `scale` times that, so their sizes match."""
        return int(self.cpen_reduction * 4) // self.scale

    @property
    def cpen_lq_channels(self) -> int:
        """Channels of CPEN's input that come from LQ."""
        return self.in_channels * self.cpen_unshuffle**2
