"""Inception-v3 for FID: pytorch-fid's port of the network of 2015, not torchvision's.

It differs in its weights and its pooling: averages exclude the padding, and the last block uses the
maximum. Names are torchvision's. B batch, C channels, H × W positions.
"""

from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.losses import PublicWeights, find_weights, load_into
from diffir.losses.features import Frozen

INCEPTION_WEIGHTS = PublicWeights(
    "pt_inception-2015-12-05-6726825d.pth",
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth",
)
SIDE = 299  # of the input
FULL_WIDTH = 32

mean_pool = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
max_pool = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)
halve = partial(F.max_pool2d, kernel_size=3, stride=2)


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self,
        dim: int,
        out: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        pad: bool = True,
    ) -> None:
        super().__init__()
        height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        padding = (height // 2, width // 2) if pad else 0
        self.conv = nn.Conv2d(dim, out, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out, H', W')."""
        return F.relu(self.bn(self.conv(x)))


class MixedA(nn.Module):
    """Mixed_5: up to 5 × 5."""

    def __init__(self, dim: int, unit: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = ConvNorm(dim, 4 * unit, 1)
        self.branch5x5_1 = ConvNorm(dim, 3 * unit, 1)
        self.branch5x5_2 = ConvNorm(3 * unit, 4 * unit, 5)
        self.branch3x3dbl_1 = ConvNorm(dim, 4 * unit, 1)
        self.branch3x3dbl_2 = ConvNorm(4 * unit, 6 * unit, 3)
        self.branch3x3dbl_3 = ConvNorm(6 * unit, 6 * unit, 3)
        self.branch_pool = ConvNorm(dim, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 14 × unit + pooled, H, W)."""
        wide = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), wide, double, self.branch_pool(mean_pool(x))], dim=1)


class MixedB(nn.Module):
    """Mixed_6a: half the resolution."""

    def __init__(self, dim: int, unit: int) -> None:
        super().__init__()
        self.branch3x3 = ConvNorm(dim, 24 * unit, 3, stride=2, pad=False)
        self.branch3x3dbl_1 = ConvNorm(dim, 4 * unit, 1)
        self.branch3x3dbl_2 = ConvNorm(4 * unit, 6 * unit, 3)
        self.branch3x3dbl_3 = ConvNorm(6 * unit, 6 * unit, 3, stride=2, pad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 30 × unit + C, H/2, W/2)."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, halve(x)], dim=1)


class MixedC(nn.Module):
    """Mixed_6b to 6e: 7 × 7 as 1 × 7 and 7 × 1."""

    def __init__(self, dim: int, unit: int, inner: int) -> None:
        super().__init__()
        out, flat, tall = 12 * unit, (1, 7), (7, 1)
        self.branch1x1 = ConvNorm(dim, out, 1)
        self.branch7x7_1 = ConvNorm(dim, inner, 1)
        self.branch7x7_2 = ConvNorm(inner, inner, flat)
        self.branch7x7_3 = ConvNorm(inner, out, tall)
        self.branch7x7dbl_1 = ConvNorm(dim, inner, 1)
        self.branch7x7dbl_2 = ConvNorm(inner, inner, tall)
        self.branch7x7dbl_3 = ConvNorm(inner, inner, flat)
        self.branch7x7dbl_4 = ConvNorm(inner, inner, tall)
        self.branch7x7dbl_5 = ConvNorm(inner, out, flat)
        self.branch_pool = ConvNorm(dim, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 48 × unit, H, W)."""
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(mean_pool(x))], dim=1)


class MixedD(nn.Module):
    """Mixed_7a: half the resolution."""

    def __init__(self, dim: int, unit: int) -> None:
        super().__init__()
        inner = 12 * unit
        self.branch3x3_1 = ConvNorm(dim, inner, 1)
        self.branch3x3_2 = ConvNorm(inner, 20 * unit, 3, stride=2, pad=False)
        self.branch7x7x3_1 = ConvNorm(dim, inner, 1)
        self.branch7x7x3_2 = ConvNorm(inner, inner, (1, 7))
        self.branch7x7x3_3 = ConvNorm(inner, inner, (7, 1))
        self.branch7x7x3_4 = ConvNorm(inner, inner, 3, stride=2, pad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 32 × unit + C, H/2, W/2)."""
        small = self.branch3x3_2(self.branch3x3_1(x))
        large = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat([small, self.branch7x7x3_4(large), halve(x)], dim=1)


class MixedE(nn.Module):
    """Mixed_7b and 7c: 3 × 3 as 1 × 3 and 3 × 1 in parallel."""

    def __init__(self, dim: int, unit: int, last: bool) -> None:
        super().__init__()
        inner, flat, tall = 24 * unit, (1, 3), (3, 1)
        self.branch1x1 = ConvNorm(dim, 20 * unit, 1)
        self.branch3x3_1 = ConvNorm(dim, inner, 1)
        self.branch3x3_2a = ConvNorm(inner, inner, flat)
        self.branch3x3_2b = ConvNorm(inner, inner, tall)
        self.branch3x3dbl_1 = ConvNorm(dim, 28 * unit, 1)
        self.branch3x3dbl_2 = ConvNorm(28 * unit, inner, 3)
        self.branch3x3dbl_3a = ConvNorm(inner, inner, flat)
        self.branch3x3dbl_3b = ConvNorm(inner, inner, tall)
        self.branch_pool = ConvNorm(dim, 12 * unit, 1)
        self.pool = max_pool if last else mean_pool

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 128 × unit, H, W)."""
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(single),
                self.branch3x3_2b(single),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(self.pool(x)),
            ],
            dim=1,
        )


class Inception(Frozen):
    """Inception-v3 (Szegedy et al. 2016) up to the average over all positions."""

    def __init__(self, width: int = FULL_WIDTH) -> None:
        super().__init__()
        unit = width // 2  # 16 at full width; all channels are multiples of it
        self.dim = 128 * unit
        """Features per picture: 2048 at full width."""
        self.Conv2d_1a_3x3 = ConvNorm(3, width, 3, stride=2, pad=False)
        self.Conv2d_2a_3x3 = ConvNorm(width, width, 3, pad=False)
        self.Conv2d_2b_3x3 = ConvNorm(width, 4 * unit, 3)
        self.Conv2d_3b_1x1 = ConvNorm(4 * unit, 5 * unit, 1)
        self.Conv2d_4a_3x3 = ConvNorm(5 * unit, 12 * unit, 3, pad=False)
        self.Mixed_5b = MixedA(12 * unit, unit, 2 * unit)
        self.Mixed_5c = MixedA(16 * unit, unit, 4 * unit)
        self.Mixed_5d = MixedA(18 * unit, unit, 4 * unit)
        self.Mixed_6a = MixedB(18 * unit, unit)
        self.Mixed_6b = MixedC(48 * unit, unit, 8 * unit)
        self.Mixed_6c = MixedC(48 * unit, unit, 10 * unit)
        self.Mixed_6d = MixedC(48 * unit, unit, 10 * unit)
        self.Mixed_6e = MixedC(48 * unit, unit, 12 * unit)
        self.Mixed_7a = MixedD(48 * unit, unit)
        self.Mixed_7b = MixedE(80 * unit, unit, last=False)
        self.Mixed_7c = MixedE(128 * unit, unit, last=True)
        self.freeze()

    def forward(self, x: Tensor) -> Tensor:
        """The features (B, 2048) of pictures (B, 3, 299, 299) in [0, 1]."""
        x = 2 * x - 1
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = halve(x)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = halve(x)  # (B, 192, 35, 35)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6a(x)  # (B, 768, 17, 17)
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        x = self.Mixed_7a(x)  # (B, 1280, 8, 8)
        x = self.Mixed_7c(self.Mixed_7b(x))
        return x.mean(dim=(2, 3))


def load_inception(weights_dir: Path | None = None) -> Inception:
    """The network of pytorch-fid with its weights from this machine.

    Raises:
        WeightsError: as `find_weights` and `load_into`.
    """
    inception = Inception()
    load_into(inception, find_weights(INCEPTION_WEIGHTS, weights_dir), ignored=("fc.",))
    return inception
