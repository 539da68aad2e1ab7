"""FID (Heusel et al. 2017): the distance of two sets of pictures, as in pytorch-fid.

Pictures are streamed; only a mean and a covariance per set are kept, in float64. B pictures in a
batch, D features of each.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.errors import DataError
from diffir.inference.devices import to_device

from .inception import SIDE, Inception, load_inception

BATCH = 16  # pictures per pass of the network
BATCHES = 32  # per update of the statistics, which costs the same for one as for many


@dataclass(frozen=True)
class Gaussian:
    """The mean and scatter of a set of features."""

    count: int
    mean: Tensor
    """(D,) float64."""
    scatter: Tensor
    """(D, D) float64: the sum of (x − mean)(x − mean)ᵀ."""

    @classmethod
    def of(cls, features: Tensor) -> "Gaussian":
        """Of features (B, D), B at least 1; on the CPU, since not every device has float64."""
        features = features.detach().cpu().double()
        mean = features.mean(dim=0)
        rest = features - mean
        return cls(len(features), mean, rest.T @ rest)

    def joined(self, other: "Gaussian") -> "Gaussian":
        """Of both sets together (Chan et al. 1979), without cancellation of large numbers."""
        count = self.count + other.count
        step = other.mean - self.mean
        between = torch.outer(step, step) * (self.count * other.count / count)
        return Gaussian(
            count, self.mean + step * (other.count / count), self.scatter + other.scatter + between
        )

    def covariance(self) -> Tensor:
        """(D, D), divided by count − 1.

        Raises:
            DataError: when there are fewer than two pictures.
        """
        if self.count < 2:
            raise DataError(f"{self.count} picture found; FID needs sets of at least 2")
        return self.scatter / (self.count - 1)


def matrix_root(covariance: Tensor) -> Tensor:
    """√A of a positive semidefinite A (D, D); eigenvalues within rounding errors count as 0."""
    values, vectors = torch.linalg.eigh(covariance)
    floor = len(values) * torch.finfo(values.dtype).eps * values[-1]
    return (vectors * torch.where(values > floor, values, 0).sqrt()) @ vectors.T


def frechet_distance(a: Gaussian, b: Gaussian) -> Tensor:
    """|μ_a − μ_b|² + tr(Σ_a + Σ_b − 2 √(Σ_a Σ_b)), a float64 (); raises as `Gaussian.covariance`.

    The trace of the last root is the sum of the singular values of √Σ_a √Σ_b, which, unlike a root
    of the product, is accurate if both are singular for having fewer pictures than features.
    """
    sigma_a, sigma_b = a.covariance(), b.covariance()
    overlap = torch.linalg.svdvals(matrix_root(sigma_a) @ matrix_root(sigma_b)).sum()
    spread = sigma_a.trace() + sigma_b.trace() - 2 * overlap
    return ((a.mean - b.mean).square().sum() + spread).clamp_min(0)  # −1e-13 is rounding


def resized(picture: Tensor) -> Tensor:
    """(1, 3, H, W) to (1, 3, 299, 299) as in pytorch-fid: bilinear, with aliasing."""
    return F.interpolate(picture.float(), (SIDE, SIDE), mode="bilinear", align_corners=False)


def joined(parts: Iterable[Tensor], count: int) -> Iterator[Tensor]:
    """Concatenate parts of a batch, `count` at a time."""
    parts = iter(parts)
    while some := list(islice(parts, count)):
        yield torch.cat(some)


class FID(nn.Module):
    """The Fréchet distance of Inception's features of two sets of pictures."""

    def __init__(self, inception: Inception) -> None:
        super().__init__()
        # On a CPU 1.4 times as fast as channels first, and equal except for the last bits
        self.inception = to_device(inception, next(inception.parameters()).device)

    @torch.no_grad()
    def gaussian(self, pictures: Iterable[Tensor]) -> Gaussian:
        """The statistics of pictures (B, 3, H, W) in [0, 1], of any sizes.

        Raises:
            DataError: when there are none.
        """
        device = next(self.inception.parameters()).device
        singles = (single[None] for picture in pictures for single in picture.to(device))
        seen = (self.inception(batch).cpu() for batch in joined(map(resized, singles), BATCH))
        parts = map(Gaussian.of, joined(seen, BATCHES))
        first = next(parts, None)
        if first is None:
            raise DataError("no picture found; FID needs sets of at least 2")
        return reduce(Gaussian.joined, parts, first)

    def forward(self, restored: Iterable[Tensor], gt: Iterable[Tensor]) -> Tensor:
        """FID of pictures as for `gaussian`; the sets may differ in number and order."""
        return frechet_distance(self.gaussian(restored), self.gaussian(gt))


def load_fid(weights_dir: Path | None = None) -> FID:
    """FID with pytorch-fid's weights; raises WeightsError as `load_inception`."""
    return FID(load_inception(weights_dir))
