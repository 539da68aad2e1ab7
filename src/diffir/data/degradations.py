"""The second-order degradation of Real-ESRGAN: clean pictures to pictures as the world spoils them.

What changes sizes or order is drawn once for a batch; all else is drawn for each picture by a
generator of its own. B batch, H × W positions, values in [0, 1].
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from torch import Tensor

from .batch import Batch
from .jpeg import jpeg
from .kernels import (
    KernelSettings,
    NotNegative,
    Probability,
    Span,
    draw_by_odds,
    draw_kernel,
    draw_sinc,
    draw_size,
    drawable,
    filter2d,
    gaussian_kernel,
    ordered,
    stack_kernels,
)


def around_one(span: tuple[float, float]) -> tuple[float, float]:
    """Smallest and largest factor, refused when they do not shrink and enlarge."""
    if not span[0] <= 1 <= span[1]:
        raise ValueError(f"resize factors {span} found; wanted is one up to 1, then one from 1")
    return span


Resize = Literal["up", "down", "keep"]
NoiseSpan = Annotated[tuple[NotNegative, NotNegative], AfterValidator(ordered)]
Quality = Annotated[float, Field(ge=1, le=100)]
RESIZE_MODES = ("area", "bilinear", "bicubic")
# Keeps these draws apart from those that cut the crops by the same seed.
STREAM = int.from_bytes(b"degr", "big")


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Round(_Values):
    """Blur, resize, noise and JPEG, once. The defaults are the first round of the published."""

    blur_probability: Probability = 1
    kernels: KernelSettings = KernelSettings()
    resize_odds: Annotated[dict[Resize, NotNegative], AfterValidator(drawable)] = {
        "up": 0.2,
        "down": 0.7,
        "keep": 0.1,
    }
    resize: Annotated[Span, AfterValidator(around_one)] = (0.15, 1.5)
    """Down is drawn below 1, up above."""
    gaussian_probability: Probability = 0.5
    """Otherwise the noise is Poisson."""
    gaussian_sigma: NoiseSpan = (1, 30)
    """In steps of 8 bit."""
    poisson_scale: NoiseSpan = (0.05, 3)
    gray_probability: Probability = 0.4
    jpeg_quality: Annotated[tuple[Quality, Quality], AfterValidator(ordered)] = (30, 95)


class Degradation(_Values):
    """Two rounds, then resize-back with a sinc before or after the last JPEG."""

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
    """Otherwise JPEG comes before the last resizing and the sinc."""
    transpose_luma: bool = True
    """JPEG as the published models saw it; false: as files have it."""


PUBLISHED = Degradation()
MILD = Degradation(
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
)
"""Ours, for photos that are only a little soft, noisy and compressed."""


def sharpen(images: Tensor, weight: float = 0.5, radius: int = 50, threshold: float = 10) -> Tensor:
    """Unsharp masking of (B, 3, H, W) where detail exceeds `threshold` steps of 8 bit."""
    size = radius + 1 - radius % 2
    sigma = 0.3 * ((size - 1) / 2 - 1) + 0.8  # OpenCV's σ for a kernel of this size
    kernels = gaussian_kernel(size, (sigma, sigma)).expand(len(images), -1, -1)
    detail = images - filter2d(images, kernels)
    strength = filter2d((detail.abs() * 255 > threshold).to(images), kernels)
    return torch.lerp(images, (images + weight * detail).clamp(0, 1), strength)


def blur_kernel(settings: Round, draw: np.random.Generator) -> Tensor:
    """The blur of one picture in one round, (K, K); 1 × 1 where there is none."""
    if draw.random() < settings.blur_probability:
        return draw_kernel(settings.kernels, draw)
    return torch.ones(1, 1, dtype=torch.float64)


def final_kernel(settings: Degradation, draw: np.random.Generator) -> Tensor:
    """The last sinc of one picture, (K, K); 1 × 1 where there is none."""
    if draw.random() < settings.final_sinc_probability:
        return draw_sinc(draw_size(settings.second.kernels, draw), math.pi / 3, draw)
    return torch.ones(1, 1, dtype=torch.float64)


def resize_factor(settings: Round, draw: np.random.Generator) -> float:
    """How much larger the pictures of a batch become."""
    smallest, largest = settings.resize
    spans = {"up": (1.0, largest), "down": (smallest, 1.0), "keep": (1.0, 1.0)}
    return float(draw.uniform(*spans[draw_by_odds(settings.resize_odds, draw)]))


def resize(images: Tensor, height: float, width: float, draw: np.random.Generator) -> Tensor:
    """(B, 3, H, W) to about the size wanted, by area, bilinear or bicubic, not antialiased."""
    size = max(1, round(height)), max(1, round(width))
    return F.interpolate(images, size=size, mode=str(draw.choice(RESIZE_MODES)))


def luma(image: Tensor) -> Tensor:
    """(3, H, W) to its brightness (1, H, W)."""
    red, green, blue = image
    return (0.299 * red + 0.587 * green + 0.114 * blue)[None]


def add_noise(image: Tensor, settings: Round, draw: np.random.Generator) -> Tensor:
    """One picture (3, H, W) with Gaussian or Poisson noise, alike in its channels or not.

    Drawn on the CPU, so that every device sees the same noise.
    """
    generator = torch.Generator().manual_seed(int(draw.integers(2**63)))
    is_gaussian = draw.random() < settings.gaussian_probability
    is_gray = draw.random() < settings.gray_probability
    if is_gaussian:
        shape = (1 if is_gray else 3, *image.shape[1:])
        noise = torch.randn(shape, generator=generator) * draw.uniform(*settings.gaussian_sigma)
    else:  # white is 255 photons
        light = (luma(image) if is_gray else image).clamp(0, 1).float().cpu() * 255
        noise = (torch.poisson(light, generator) - light) * draw.uniform(*settings.poisson_scale)
    return (image + noise.to(image) / 255).clamp(0, 1)  # (3, H, W)


def spoil(
    images: Tensor,
    size: tuple[int, int],
    settings: Round,
    shared: np.random.Generator,
    own: Sequence[np.random.Generator],
) -> Tensor:
    """One round up to its JPEG: blur, resize to `size` times a random factor, noise."""
    blurred = filter2d(images, stack_kernels([blur_kernel(settings, draw) for draw in own]))
    factor = resize_factor(settings, shared)
    resized = resize(blurred, size[0] * factor, size[1] * factor, shared)
    pairs = zip(resized, own, strict=True)
    return torch.stack([add_noise(image, settings, draw) for image, draw in pairs])


def generators(
    seed: Sequence[int], count: int
) -> tuple[np.random.Generator, list[np.random.Generator]]:
    """The generator that a batch shares, and one for each picture whatever their number."""
    # By spawn keys: in lists NumPy fills short seeds with zeros, so (*seed, 0) would be seed.
    keys: list[tuple[int, ...]] = [(STREAM,), *((STREAM, index) for index in range(count))]
    shared, *own = (
        np.random.default_rng(np.random.SeedSequence(list(seed), spawn_key=key)) for key in keys
    )
    return shared, own


@torch.no_grad()
def degrade(gt: Tensor, scale: int, settings: Degradation, seed: Sequence[int]) -> Tensor:
    """GT (B, 3, H, W) in [0, 1] to LQ (B, 3, H/scale, W/scale), in steps of 8 bit.

    The same seed gives the same LQ, and picture i has the same draws in a batch of any size.

    Raises:
        ValueError: when GT is not floats of three channels or does not divide by the scale.
    """
    fits = gt.ndim == 4 and gt.shape[1] == 3 and not (gt.shape[2] % scale or gt.shape[3] % scale)
    if not (fits and gt.is_floating_point()):
        raise ValueError(
            f"GT {tuple(gt.shape)} of {gt.dtype} found; wanted are floats (B, 3, H, W) with "
            f"H and W divisible by {scale}"
        )
    shared, own = generators(seed, len(gt))
    lq_size = gt.shape[2] // scale, gt.shape[3] // scale

    def compress(images: Tensor, qualities: tuple[float, float]) -> Tensor:
        quality = torch.tensor([draw.uniform(*qualities) for draw in own])
        return jpeg(images, quality, transpose_luma=settings.transpose_luma)

    def finish(images: Tensor) -> Tensor:
        resized = resize(images, *lq_size, shared)
        return filter2d(resized, stack_kernels([final_kernel(settings, draw) for draw in own]))

    x = spoil(gt, (gt.shape[2], gt.shape[3]), settings.first, shared, own)
    x = compress(x, settings.first.jpeg_quality)
    x = spoil(x, lq_size, settings.second, shared, own)
    if shared.random() < settings.jpeg_last_probability:
        x = compress(finish(x), settings.second.jpeg_quality)
    else:
        x = finish(compress(x, settings.second.jpeg_quality))
    return (x.clamp(0, 1) * 255).round() / 255


class PairPool:
    """Mixes batches, whose pictures share sizes and order of degradation, into varied ones.

    Until it is full, batches pass and leave a copy; then each one swaps places with pairs drawn
    from the pool. The pool is state of its rank: a run that resumes bit for bit saves it.
    """

    def __init__(self, size: int = 180) -> None:
        self.size = size
        self.lq: Tensor | None = None
        self.gt: Tensor | None = None

    def exchange(self, batch: Batch, draw: np.random.Generator) -> Batch:
        """Give a batch and get one of as many pairs.

        Raises:
            ValueError: when the batch is larger than the pool, or its pictures of other sizes.
        """
        count = len(batch.gt)
        if count > self.size:
            raise ValueError(f"batch of {count} found; the pool holds no more than {self.size}")
        if self.lq is None or self.gt is None:
            self.lq, self.gt = batch.lq.clone(), batch.gt.clone()
            return batch
        found, held = (
            (batch.lq.shape[1:], batch.gt.shape[1:]),
            (self.lq.shape[1:], self.gt.shape[1:]),
        )
        if found != held:
            raise ValueError(f"pairs of {found} found; the pool holds pairs of {held}")
        if len(self.gt) < self.size:
            self.lq = torch.cat([self.lq, batch.lq])[: self.size]
            self.gt = torch.cat([self.gt, batch.gt])[: self.size]
            return batch
        places = torch.from_numpy(draw.choice(self.size, count, replace=False)).to(self.gt.device)
        mixed = Batch(lq=self.lq[places], gt=self.gt[places])
        self.lq[places], self.gt[places] = batch.lq, batch.gt
        return mixed

    def state_dict(self) -> dict[str, Any]:
        """All that the pool remembers; lq and gt are absent while it is empty."""
        pairs = {} if self.gt is None else {"lq": self.lq, "gt": self.gt}
        return {"size": self.size, **pairs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remember what another pool did, on the device of its tensors.

        Raises:
            ValueError: when that pool was of another size.
        """
        if state["size"] != self.size:
            raise ValueError(
                f"the state of a pool of {state['size']} found; this one is {self.size}"
            )
        self.lq, self.gt = (state[name].clone() if name in state else None for name in ("lq", "gt"))
