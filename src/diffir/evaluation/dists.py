"""DISTS (Ding et al. 2020): the similarity of two pictures in structure and texture.

B batch, C channels, H × W positions.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.losses import PublicWeights, load_into
from diffir.losses.vgg import load_vgg16
from diffir.losses.weights import find_any

from .lpips import VGG16Features
from .psnr_ssim import require_equal

_URL = "https://github.com/dingkeyan93/DISTS/raw/master/DISTS_pytorch/weights.pt"
DISTS_WEIGHTS = [
    PublicWeights(name, _URL, "f5e65c96")
    for name in ("DISTS_weights.pt", "weights.pt", "DISTS_weights-f5e65c96.pth")
]
STABLE = 1e-6  # keeps both similarities finite


class L2Pool(nn.Module):
    """L2 pooling: halve the resolution by the root of the blurred square, without aliasing."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, ⌈H/2⌉, ⌈W/2⌉)."""
        line = x.new_tensor([0.25, 0.5, 0.25])  # Hann window of 5 without its zeros
        window = (line[:, None] * line).expand(x.shape[1], 1, 3, 3)
        blurred = F.conv2d(x.square(), window, stride=2, padding=1, groups=x.shape[1])
        return (blurred + 1e-12).sqrt()


class Shares(nn.Module):
    """The weights of the texture (α) and the structure (β) of each channel."""

    alpha: Tensor
    beta: Tensor

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.dims = list(dims)
        for name in ("alpha", "beta"):
            self.register_buffer(name, torch.ones(1, sum(dims), 1, 1))

    def forward(self) -> tuple[Tensor, Tensor]:
        """α and β of all channels, (1, ΣC), which sum to 1."""
        total = self.alpha.sum() + self.beta.sum()
        return self.alpha[..., 0, 0] / total, self.beta[..., 0, 0] / total


class DISTS(nn.Module):
    """The distance of pictures in structure and texture, 0 for equal pictures."""

    def __init__(self, features: VGG16Features, shares: Shares) -> None:
        super().__init__()
        self.features = features
        self.shares = shares

    def forward(self, restored: Tensor, gt: Tensor) -> Tensor:
        """The distance of each pair, (B,) float32, of pictures (B, 3, H, W) in [0, 1]."""
        require_equal(restored, gt)
        seen, true = ([image.float(), *self.features(image.float())] for image in (restored, gt))
        alike = [compared(s, t) for s, t in zip(seen, true, strict=True)]
        texture, structure = (torch.cat(parts, dim=1) for parts in zip(*alike, strict=True))
        alpha, beta = self.shares()
        return 1 - (alpha * texture + beta * structure).sum(dim=1)


def compared(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The similarity in texture and in structure of each channel, (B, C) each, at most 1."""
    mean_x, mean_y = x.mean(dim=(2, 3)), y.mean(dim=(2, 3))
    texture = (2 * mean_x * mean_y + STABLE) / (mean_x.square() + mean_y.square() + STABLE)
    rest_x, rest_y = x - mean_x[..., None, None], y - mean_y[..., None, None]
    variances = (rest_x.square() + rest_y.square()).mean(dim=(2, 3))
    covariance = (rest_x * rest_y).mean(dim=(2, 3))
    return texture, (2 * covariance + STABLE) / (variances + STABLE)


def load_dists(weights_dir: Path | None = None) -> DISTS:
    """DISTS with its authors' α and β.

    Raises:
        WeightsError: as `find_weights` and `load_into`.
    """
    features = VGG16Features(load_vgg16(weights_dir, pool=L2Pool))
    shares = Shares([3, *features.dims])
    load_into(shares, find_any(DISTS_WEIGHTS, weights_dir))
    return DISTS(features, shares)
