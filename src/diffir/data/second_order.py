"""The second-order degradation of Real-ESRGAN: from clean pictures to realistic bad ones.

Sizes and the order of steps are drawn once per batch, everything else per picture. B batch, H × W
positions, values in [0, 1].
"""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import AfterValidator, Field
from torch import Tensor

from .batch import Batch, cut
from .draws import Draws, Facts, noise_generator, note
from .jpeg import jpeg, through_jpeg_file
from .kernels import (
    ROUND,
    KernelSettings,
    draw_kernel,
    draw_sinc,
    draw_size,
    filter2d,
    gaussian_kernel,
    stack_kernels,
)
from .pixels import round_to_8_bit
from .settings import (
    NotNegative,
    NotNegativeSpan,
    Probability,
    Span,
    Values,
    draw_by_odds,
    drawable,
    ordered,
)


def around_one(span: tuple[float, float]) -> tuple[float, float]:
    """Check that the smallest factor is at most 1 and the largest at least 1."""
    if not span[0] <= 1 <= span[1]:
        raise ValueError(f"resize factors {span} found; wanted one up to 1, then one from 1")
    return span


Resize = Literal["up", "down", "keep"]
Quality = Annotated[float, Field(ge=1, le=100)]
RESIZE_MODES = ("area", "bilinear", "bicubic")
STREAM = "second order"
USM_SIZE, USM_WEIGHT, USM_THRESHOLD = 51, 0.5, 10  # of unsharp masking, as Real-ESRGAN has them
USM_SIGMA = 0.3 * ((USM_SIZE - 1) / 2 - 1) + 0.8  # OpenCV's σ for a kernel of this size


class Round(Values):
    """One round of blur, resize, noise and JPEG. The defaults are the published first round."""

    blur_probability: Probability = 1
    kernels: KernelSettings = KernelSettings()
    resize_odds: Annotated[dict[Resize, NotNegative], AfterValidator(drawable)] = {
        "up": 0.2,
        "down": 0.7,
        "keep": 0.1,
    }
    resize: Annotated[Span, AfterValidator(around_one)] = (0.15, 1.5)
    """`down` is drawn below 1, `up` above."""
    gaussian_probability: Probability = 0.5
    """Otherwise the noise is Poisson."""
    gaussian_sigma: NotNegativeSpan = (1, 30)
    """In steps of 8 bit."""
    poisson_scale: NotNegativeSpan = (0.05, 3)
    gray_probability: Probability = 0.4
    jpeg_quality: Annotated[tuple[Quality, Quality], AfterValidator(ordered)] = (30, 95)


class SecondOrder(Values):
    """Two rounds, where the last resize and sinc come before or after the second JPEG."""

    on_device: ClassVar = True

    kind: Literal["second-order"] = "second-order"
    first: Round = Round()
    second: Round = Round(
        blur_probability=0.8,
        kernels=KernelSettings(sigma=(0.2, 1.5)),
        resize_odds={"up": 0.3, "down": 0.4, "keep": 0.3},
        resize=(0.3, 1.2),
        gaussian_sigma=(1, 25),
        poisson_scale=(0.05, 2.5),
    )
    final_sinc_probability: Probability = 0.8
    jpeg_last_probability: Probability = 0.5
    """Otherwise JPEG comes before the last resize and the sinc."""
    transpose_luma: bool = True
    """JPEG as in the published trainings; false: as in files."""
    jpeg_files: bool = False
    """JPEG by the encoder that writes files, on the CPU; false: computed on tensors."""
    sharpen_gt: bool = False
    """Apply unsharp masking to GT before degrading it: the published variant 2."""
    pool_size: int = Field(default=180, ge=0)
    """Size of the pool that mixes pairs of several batches; 0: none."""
    context: int = Field(default=72, ge=0)
    """GT pixels around the crop that are degraded with it, then cut off, as published."""

    def margin(self, scale: int) -> int:
        """GT pixels needed around the crop: the context, rounded up to whole LQ pixels."""
        return -(-self.context // scale) * scale

    def batch(self, gt: Tensor, scale: int, draws: Draws) -> Batch:
        """Pairs of GT (B, 3, H + 2 · margin, W + 2 · margin)."""
        margin = self.margin(scale)
        target = sharpen(gt) if self.sharpen_gt else gt
        lq, facts = degrade(target, scale, self, draws)
        return Batch(
            lq=cut(lq, margin // scale),
            gt=cut(target, margin),
            plain_gt=cut(gt, margin) if self.sharpen_gt else None,
            facts=facts,
        )


PUBLISHED = SecondOrder()
MILD = SecondOrder(
    first=Round(
        kernels=KernelSettings(sigma=(0.2, 1.5)),
        resize=(0.5, 1.2),
        gaussian_sigma=(1, 10),
        poisson_scale=(0.05, 1),
        jpeg_quality=(60, 95),
    ),
    second=Round(
        blur_probability=0.3,
        kernels=KernelSettings(sigma=(0.2, 0.8)),
        resize_odds={"up": 0.2, "down": 0.2, "keep": 0.6},
        resize=(0.7, 1.1),
        gaussian_sigma=(1, 5),
        poisson_scale=(0.05, 0.5),
        jpeg_quality=(70, 95),
    ),
    final_sinc_probability=0.3,
    transpose_luma=False,
    context=16,
)
"""Ours, for photos that are only slightly soft, noisy and compressed."""


def sharpen(images: Tensor) -> Tensor:
    """Unsharp masking of (B, 3, H, W) where detail exceeds 10 steps of 8 bit."""
    kernel = gaussian_kernel(USM_SIZE, (USM_SIGMA, USM_SIGMA)).expand(len(images), -1, -1)
    detail = images - filter2d(images, kernel)
    strength = filter2d((detail.abs() * 255 > USM_THRESHOLD).to(images), kernel)
    return torch.lerp(images, (images + USM_WEIGHT * detail).clamp(0, 1), strength)


def blur_kernel(settings: Round, draw: np.random.Generator) -> Tensor:
    """The blur of one picture in one round, (K, K); 1 × 1 for none."""
    if draw.random() < settings.blur_probability:
        return draw_kernel(settings.kernels, draw)
    note(draw, blur="none", **ROUND)
    return torch.ones(1, 1, dtype=torch.float64)


def final_kernel(settings: SecondOrder, draw: np.random.Generator) -> Tensor:
    """The last sinc of one picture, (K, K); 1 × 1 for none."""
    is_wanted = draw.random() < settings.final_sinc_probability
    note(draw, final_sinc=float(is_wanted))
    if is_wanted:
        return draw_sinc(draw_size(settings.second.kernels, draw), math.pi / 3, draw)
    return torch.ones(1, 1, dtype=torch.float64)


def resize_factor(settings: Round, draw: np.random.Generator) -> float:
    """The resize factor of a batch."""
    smallest, largest = settings.resize
    spans = {"up": (1.0, largest), "down": (smallest, 1.0), "keep": (1.0, 1.0)}
    return float(draw.uniform(*spans[draw_by_odds(settings.resize_odds, draw)]))


def resize(images: Tensor, height: float, width: float, draw: np.random.Generator) -> Tensor:
    """(B, 3, H, W) to the rounded size, by area, bilinear or bicubic, without antialiasing."""
    size = max(1, round(height)), max(1, round(width))
    mode = str(draw.choice(RESIZE_MODES))
    note(draw, resize=size[0] / images.shape[-2], resize_mode=mode)
    return F.interpolate(images, size=size, mode=mode)


def luma(image: Tensor) -> Tensor:
    """(3, H, W) to luma (1, H, W)."""
    red, green, blue = image
    return (0.299 * red + 0.587 * green + 0.114 * blue)[None]


def add_noise(image: Tensor, settings: Round, draw: np.random.Generator) -> Tensor:
    """One picture (3, H, W) with Gaussian or Poisson noise, gray or in colour."""
    generator = noise_generator(draw, image.device)
    home = generator.device
    is_gaussian = draw.random() < settings.gaussian_probability
    is_gray = draw.random() < settings.gray_probability
    strength = draw.uniform(*(settings.gaussian_sigma if is_gaussian else settings.poisson_scale))
    if is_gaussian:
        shape = (1 if is_gray else 3, *image.shape[1:])
        noise = torch.randn(shape, generator=generator, device=home) * strength
    else:  # at 255 photons for white
        light = (luma(image) if is_gray else image).clamp(0, 1).float().to(home) * 255
        noise = (torch.poisson(light, generator) - light) * strength
    note(draw, noise="gaussian" if is_gaussian else "poisson", noise_sigma=float(noise.std()))
    return (image + noise.to(image) / 255).clamp(0, 1)  # (3, H, W)


def degrade_round(
    images: Tensor,
    size: tuple[int, int],
    settings: Round,
    shared: np.random.Generator,
    own: Sequence[np.random.Generator],
) -> Tensor:
    """One round up to its JPEG: blur, resize to `size` times a random factor, noise."""
    kernels = [blur_kernel(settings, draw) for draw in own]
    blurred = filter2d(images, stack_kernels(kernels, settings.kernels.sizes[1]))
    factor = resize_factor(settings, shared)
    resized = resize(blurred, size[0] * factor, size[1] * factor, shared)
    pairs = zip(resized, own, strict=True)
    return torch.stack([add_noise(image, settings, draw) for image, draw in pairs])


@torch.no_grad()
def degrade(
    gt: Tensor, scale: int, settings: SecondOrder, draws: Draws
) -> tuple[Tensor, tuple[Facts, ...]]:
    """GT (B, 3, H, W) in [0, 1] to LQ (B, 3, H/scale, W/scale), in steps of 8 bit.

    Also returns the facts of each picture.

    Raises:
        ValueError: when GT does not have floats, three channels, and sides divisible by the scale.
    """
    fits = gt.ndim == 4 and gt.shape[1] == 3 and not (gt.shape[2] % scale or gt.shape[3] % scale)
    if not (fits and gt.is_floating_point()):
        raise ValueError(
            f"GT {tuple(gt.shape)} of {gt.dtype} found; wanted floats (B, 3, H, W) with "
            f"H and W divisible by {scale}"
        )
    shared, own = draws.shared(STREAM), draws.own(STREAM)
    lq_size = gt.shape[2] // scale, gt.shape[3] // scale

    def compress(images: Tensor, qualities: tuple[float, float]) -> Tensor:
        drawn = [draw.uniform(*qualities) for draw in own]
        for draw, quality in zip(own, drawn, strict=True):
            note(draw, jpeg_quality=quality)
        if settings.jpeg_files:
            pairs = zip(images[:, None], drawn, strict=True)
            return torch.cat([through_jpeg_file(image, round(q)) for image, q in pairs])
        return jpeg(images, torch.tensor(drawn), transpose_luma=settings.transpose_luma)

    def finish(images: Tensor) -> Tensor:
        resized = resize(images, *lq_size, shared)
        kernels = [final_kernel(settings, draw) for draw in own]
        return filter2d(resized, stack_kernels(kernels, settings.second.kernels.sizes[1]))

    x = degrade_round(gt, (gt.shape[2], gt.shape[3]), settings.first, shared, own)
    x = compress(x, settings.first.jpeg_quality)
    x = degrade_round(x, lq_size, settings.second, shared, own)
    if shared.random() < settings.jpeg_last_probability:
        x = compress(finish(x), settings.second.jpeg_quality)
    else:
        x = finish(compress(x, settings.second.jpeg_quality))
    return round_to_8_bit(x), tuple(draw.facts | shared.facts for draw in own)
