"""LPIPS (Zhang et al. 2018), version 0.1: the distance of two pictures in a network's features."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.losses import PublicWeights, load_into
from diffir.losses.features import Frozen
from diffir.losses.vgg import VGG16, load_vgg16
from diffir.losses.weights import find_any

from .alexnet import AlexNet, load_alexnet
from .psnr_ssim import require_equal, require_side

_HEADS_URL = "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/"
# The names of the lpips package and of pyiqa; the hash tells v0.1 from v0.0
ALEXNET_HEADS = [
    PublicWeights(name, _HEADS_URL + "alex.pth", "df73285e")
    for name in ("alex.pth", "LPIPS_v0.1_alex-df73285e.pth")
]
VGG_HEADS = [
    PublicWeights(name, _HEADS_URL + "vgg.pth", "a78928a0")
    for name in ("vgg.pth", "LPIPS_v0.1_vgg-a78928a0.pth")
]

VGG_TAPS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
"""The last convolution of each block of VGG-16."""


class VGG16Features(nn.Module):
    """The output of the last ReLU of each block of VGG-16."""

    least = 16

    def __init__(self, vgg: VGG16) -> None:
        super().__init__()
        self.vgg = vgg
        self.dims = [vgg.dims[name] for name in VGG_TAPS]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Five features, at 1, 1/2, 1/4, 1/8 and 1/16 of H × W."""
        taps = self.vgg(x, VGG_TAPS)
        return [F.relu(taps[name]) for name in VGG_TAPS]


class Head(nn.Module):
    """The weights of a feature's channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        # In the files the convolution is second, after the dropout of the training
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(dim, 1, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 1, H, W)."""
        return self.model(x)


class Heads(Frozen):
    """One head per feature, named as in the authors' files."""

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        for index, dim in enumerate(dims):
            self.add_module(f"lin{index}", Head(dim))
        self.freeze()

    def forward(self, differences: Sequence[Tensor]) -> Tensor:
        """Squared differences (B, C, H, W) of each feature to their weighted mean, (B,)."""
        maps = [head(x) for head, x in zip(self.children(), differences, strict=True)]
        return torch.stack([weighted.mean(dim=(1, 2, 3)) for weighted in maps]).sum(0)


class LPIPS(nn.Module):
    """The distance of pictures in a network's features, 0 for equal pictures."""

    def __init__(self, features: AlexNet | VGG16Features, heads: Heads) -> None:
        super().__init__()
        self.features = features
        self.heads = heads

    def forward(self, restored: Tensor, gt: Tensor) -> Tensor:
        """The distance of each pair, (B,) float32, of pictures (B, 3, H, W) in [0, 1].

        Raises:
            ValueError: when the shapes differ.
            DataError: when a side is below 31 (AlexNet) or 16 (VGG).
        """
        require_equal(restored, gt)
        require_side(gt, self.features.least, "LPIPS")
        seen, true = (self.features(image.float()) for image in (restored, gt))
        pairs = zip(seen, true, strict=True)
        return self.heads([(unit(s) - unit(t)).square() for s, t in pairs])


def unit(features: Tensor) -> Tensor:
    """(B, C, H, W) normalised to length 1 at every position."""
    length = features.square().sum(dim=1, keepdim=True).sqrt()
    return features / (length + 1e-10)


def load_lpips_alexnet(weights_dir: Path | None = None) -> LPIPS:
    """LPIPS with AlexNet, which most papers report.

    Raises:
        WeightsError: as `find_weights` and `load_into`.
    """
    network = load_alexnet(weights_dir)
    heads = Heads(network.dims)
    load_into(heads, find_any(ALEXNET_HEADS, weights_dir))
    return LPIPS(network, heads)


def load_lpips_vgg(weights_dir: Path | None = None) -> LPIPS:
    """LPIPS with VGG-16; raises as `load_lpips_alexnet`."""
    network = VGG16Features(load_vgg16(weights_dir))
    heads = Heads(network.dims)
    load_into(heads, find_any(VGG_HEADS, weights_dir))
    return LPIPS(network, heads)
