"""Discriminators: networks from pictures (B, 3, H, W) to logits, high for real ones."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .norm import SharedBatchNorm2d

LEAK = 0.2
PATCH_LAYERS = 4  # strided layers of PatchDiscriminator, LaMa's number


def spectral_conv(dim: int, out: int, kernel: int, stride: int = 1) -> nn.Module:
    """A convolution without bias whose weight matrix has spectral norm 1."""
    return spectral_norm(nn.Conv2d(dim, out, kernel, stride, padding=1, bias=False))


class UNetDiscriminator(nn.Module):
    """A logit for every pixel, by a U-Net with spectral norm (Wang et al. 2021, Real-ESRGAN)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        dims = [width, 2 * width, 4 * width, 8 * width]
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.downs = nn.ModuleList(
            spectral_conv(dim, wider, 4, stride=2) for dim, wider in pairwise(dims)
        )
        self.ups = nn.ModuleList(
            spectral_conv(wider, dim, 3) for wider, dim in pairwise(reversed(dims))
        )
        self.refine = nn.ModuleList(spectral_conv(width, width, 3) for _ in range(2))
        self.tail = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to logits (B, 1, H, W); H and W must be at least 8."""
        x = F.leaky_relu(self.head(x), LEAK)  # (B, width, H, W)
        skips = []
        for down in self.downs:
            skips.append(x)
            x = F.leaky_relu(down(x), LEAK)  # (B, 2C, H/2, W/2)
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = F.leaky_relu(up(x), LEAK) + skip  # (B, C/2, 2H, 2W)
        for conv in self.refine:
            x = F.leaky_relu(conv(x), LEAK)  # (B, width, H, W)
        return self.tail(x)


class PatchDiscriminator(nn.Module):
    """A logit for every patch, by strided convolutions (pix2pixHD; batch norm as in LaMa)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        dims = [3, *(width * min(2**depth, 8) for depth in range(PATCH_LAYERS + 1))]
        strides = [2] * PATCH_LAYERS + [1]
        self.layers = nn.ModuleList(
            patch_layer(dim, wider, stride, normed=depth > 0)
            for depth, ((dim, wider), stride) in enumerate(
                zip(pairwise(dims), strides, strict=True)
            )
        )
        self.tail = nn.Conv2d(dims[-1], 1, 4, padding=2)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 3, H, W) to logits (B, 1, h, w), h a little above H / 16, and each layer's output."""
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return self.tail(x), features


def patch_layer(dim: int, out: int, stride: int, normed: bool) -> nn.Module:
    """A 4 × 4 convolution, batch norm except in the first layer, and a leaky ReLU.

    Before a norm, which would cancel it, the convolution has no bias (LaMa's has one).
    """
    norm = [SharedBatchNorm2d(out)] if normed else []
    conv = nn.Conv2d(dim, out, 4, stride, padding=2, bias=not normed)
    return nn.Sequential(conv, *norm, nn.LeakyReLU(LEAK))
