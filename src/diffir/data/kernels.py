"""Blur kernels of the second-order degradation, and filtering with one kernel per picture.

B batch, C channels, H × W positions, K side of a kernel (odd).
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import AfterValidator
from torch import Tensor

from .draws import Facts, note
from .settings import NotNegative, Probability, Span, Values, draw_by_odds, drawable

KernelKind = Literal[
    "gaussian_iso",
    "gaussian_aniso",
    "generalized_iso",
    "generalized_aniso",
    "plateau_iso",
    "plateau_aniso",
]


def odd(sizes: tuple[int, int]) -> tuple[int, int]:
    """Check that the smallest and largest side of kernels are odd and in order."""
    if not 0 < sizes[0] <= sizes[1] or sizes[0] % 2 == 0 or sizes[1] % 2 == 0:
        raise ValueError(f"kernel sizes {sizes} found; two odd numbers are wanted, smaller first")
    return sizes


class KernelSettings(Values):
    """The distribution of blurs. The defaults are Real-ESRGAN's first round."""

    sizes: Annotated[tuple[int, int], AfterValidator(odd)] = (7, 21)
    """Smallest and largest side; the odd numbers between them are equally likely."""
    odds: Annotated[dict[KernelKind, NotNegative], AfterValidator(drawable)] = {
        "gaussian_iso": 0.45,
        "gaussian_aniso": 0.25,
        "generalized_iso": 0.12,
        "generalized_aniso": 0.03,
        "plateau_iso": 0.12,
        "plateau_aniso": 0.03,
    }
    sigma: Span = (0.2, 3)
    generalized_beta: Span = (0.5, 4)
    plateau_beta: Span = (1, 2)
    sinc_probability: Probability = 0.1


def distances(size: int, sigmas: tuple[float, float], angle: float) -> Tensor:
    """xᵀ Σ⁻¹ x at every position of a kernel, Σ with σ along axes turned by `angle` radians."""
    line = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    y, x = torch.meshgrid(line, line, indexing="ij")
    along = (x * math.cos(angle) + y * math.sin(angle)) / sigmas[0]
    across = (y * math.cos(angle) - x * math.sin(angle)) / sigmas[1]
    return along.square() + across.square()  # (K, K)


def normalized(kernel: Tensor) -> Tensor:
    """The kernel divided by its sum."""
    return kernel / kernel.sum()


def gaussian_kernel(
    size: int, sigmas: tuple[float, float], angle: float = 0.0, beta: float = 1.0
) -> Tensor:
    """Gaussian blur (K, K) float64, generalised for β other than 1: exp(−½ Q^β)."""
    return normalized(torch.exp(-0.5 * distances(size, sigmas, angle) ** beta))


def plateau_kernel(
    size: int, sigmas: tuple[float, float], angle: float = 0.0, beta: float = 1.0
) -> Tensor:
    """Plateau-shaped blur (K, K) float64, 1 / (1 + Q^β)."""
    return normalized(1 / (1 + distances(size, sigmas, angle) ** beta))


def sinc_kernel(size: int, cutoff: float) -> Tensor:
    """Circular low-pass (K, K) float64 that rings like poor resizing: ω J₁(ω r) / 2π r."""
    radius = distances(size, (1, 1), 0).sqrt()
    rings = cutoff * torch.special.bessel_j1(cutoff * radius) / (2 * math.pi * radius)
    rings[size // 2, size // 2] = cutoff**2 / (4 * math.pi)  # the limit at r = 0
    return normalized(rings)


ROUND: Facts = {"blur_sigma": 0.0, "blur_length": 0.0, "blur_angle": 0.0}
"""Facts of pictures without a Gaussian-like blur, so that the number of facts is the same."""


def draw_size(settings: KernelSettings, draw: np.random.Generator) -> int:
    """An odd side, all equally likely."""
    return int(draw.choice(range(settings.sizes[0], settings.sizes[1] + 1, 2)))


def draw_sinc(size: int, lowest_cutoff: float, draw: np.random.Generator) -> Tensor:
    """A random low-pass (K, K) float64, cutoff up to π."""
    return sinc_kernel(size, draw.uniform(lowest_cutoff, math.pi))


def draw_kernel(settings: KernelSettings, draw: np.random.Generator) -> Tensor:
    """A random blur (K, K) float64."""
    size = draw_size(settings, draw)
    if draw.random() < settings.sinc_probability:
        note(draw, blur="sinc", **ROUND)
        # Small kernels are too small for the wide rings of a low cutoff.
        return draw_sinc(size, math.pi / (3 if size < 13 else 5), draw)
    kind = draw_by_odds(settings.odds, draw)
    first, second = (float(sigma) for sigma in draw.uniform(*settings.sigma, size=2))
    angle = draw.uniform(-math.pi, math.pi)
    sigmas = (first, first) if kind.endswith("_iso") else (first, second)
    longer = angle if sigmas[0] >= sigmas[1] else angle + math.pi / 2
    note(
        draw,
        blur=kind,
        blur_sigma=math.sqrt(sigmas[0] * sigmas[1]),
        blur_length=abs(sigmas[0] - sigmas[1]),
        blur_angle=math.degrees(longer) % 180,
    )
    if kind.startswith("plateau"):
        return plateau_kernel(size, sigmas, angle, draw_beta(settings.plateau_beta, draw))
    if kind.startswith("generalized"):
        return gaussian_kernel(size, sigmas, angle, draw_beta(settings.generalized_beta, draw))
    return gaussian_kernel(size, sigmas, angle)


def draw_beta(span: tuple[float, float], draw: np.random.Generator) -> float:
    """A shape parameter, below 1 as often as above if the span has both, as in Real-ESRGAN."""
    lowest, highest = span
    middle = min(max(1.0, lowest), highest)
    return float(draw.uniform(*((lowest, middle) if draw.random() < 0.5 else (middle, highest))))


def stack_kernels(kernels: Sequence[Tensor], size: int) -> Tensor:
    """Kernels of odd sides up to `size` as (B, size, size), zeros around the smaller ones.

    The size is fixed because rounding depends on it, and a picture must not depend on the others
    in its batch by a single bit.
    """
    return torch.stack([F.pad(kernel, [(size - len(kernel)) // 2] * 4) for kernel in kernels])


def mirrored(length: int, margin: int, device: torch.device) -> Tensor:
    """Positions in a line with `margin` more at both ends, reflected as often as needed."""
    if length == 1:
        return torch.zeros(1 + 2 * margin, dtype=torch.long, device=device)
    period = 2 * (length - 1)
    positions = torch.arange(-margin, length + margin, device=device) % period
    return torch.minimum(positions, period - positions)


@cache
def fast_length(least: int) -> int:
    """The smallest product of powers of 2, 3 and 5 that is at least `least`: fast for FFTs."""
    products = (2**a * 3**b * 5**c for a in range(20) for b in range(12) for c in range(8))
    return min(product for product in products if product >= least)


def filter2d(images: Tensor, kernels: Tensor) -> Tensor:
    """Filter each of (B, C, H, W) with its own of (B, K, K), K odd, borders reflected.

    Raises:
        ValueError: when there is not one odd, square kernel per picture.
    """
    count, *sides = kernels.shape
    if kernels.ndim != 3 or count != len(images) or sides[0] != sides[1] or sides[0] % 2 == 0:
        raise ValueError(
            f"kernels {tuple(kernels.shape)} found; wanted one odd square for each of "
            f"{len(images)} pictures"
        )
    margin = sides[0] // 2
    rows, columns = (mirrored(side, margin, images.device) for side in images.shape[-2:])
    padded = images[..., rows[:, None], columns]  # (B, C, H + K − 1, W + K − 1)
    size = [fast_length(side) for side in padded.shape[-2:]]
    # In the Fourier domain, which for such large kernels is several times as fast as conv2d. That
    # correlates, this convolves, so the kernel is flipped. In float64, because rounding depends on
    # batch and threads, and in float32 that would change 8-bit pixels. MPS has no float64.
    wide = torch.float32 if images.device.type == "mps" else torch.float64
    turned = kernels.to(images.device, wide).flip(-2, -1)[:, None]
    spectra = torch.fft.rfft2(padded.to(wide), s=size) * torch.fft.rfft2(turned, s=size)
    filtered = torch.fft.irfft2(spectra, s=size).to(images.dtype)
    height, width = images.shape[-2:]
    return filtered[..., 2 * margin : 2 * margin + height, 2 * margin : 2 * margin + width]
