"""Losses between the features of restored and true pictures, both (B, 3, H, W) in [0, 1].

The true pictures' features get no gradient.
"""

from collections.abc import Collection, Mapping

import torch
from einops import rearrange
from torch import Tensor, nn

from diffir.errors import RecipeError

from .resnet import DilatedResNet50
from .vgg import VGG

VGG19_LAYER_WEIGHTS = {
    "conv1_2": 0.1,
    "conv2_2": 0.1,
    "conv3_4": 1.0,
    "conv4_4": 1.0,
    "conv5_4": 1.0,
}
"""As in the authors' GAN training and in Real-ESRGAN."""

VGG16_LAYER_WEIGHTS = {
    "conv1_2": 0.1,
    "conv2_2": 0.1,
    "conv3_3": 1.0,
    "conv4_3": 1.0,
    "conv5_3": 1.0,
}
"""The same, for the last convolutions of the blocks of VGG-16."""


def gram(features: Tensor) -> Tensor:
    """Gram matrices: (B, C, H, W) to (B, C, C), divided by C·H·W (Johnson et al. 2016).

    In float32, as it sums over all positions.
    """
    rows = rearrange(features, "b c y x -> b c (y x)").float()
    with torch.autocast(features.device.type, enabled=False):
        return rows @ rows.transpose(1, 2) / features[0].numel()


class PerceptualLoss(nn.Module):
    """Mean absolute difference of VGG features before their ReLU, weighted by layer (ESRGAN)."""

    def __init__(
        self,
        vgg: VGG,
        layer_weights: Mapping[str, float] = VGG19_LAYER_WEIGHTS,
        style_weight: float = 0.0,
    ) -> None:
        super().__init__()
        require_layers(layer_weights, vgg.dims)
        self.vgg = vgg
        self.layer_weights = dict(layer_weights)
        self.style_weight = style_weight
        """Weight of the same sum over Gram matrices."""

    def forward(self, restored: Tensor, gt: Tensor) -> Tensor:
        """The weighted sum over layers, float32."""
        with torch.no_grad():
            true = self.vgg(gt, self.layer_weights)
        seen = self.vgg(restored, self.layer_weights)
        total = restored.new_zeros((), dtype=torch.float32)
        for name, weight in self.layer_weights.items():
            total = total + weight * mean_abs(seen[name], true[name])
            if self.style_weight:
                style = mean_abs(gram(seen[name]), gram(true[name]))
                total = total + weight * self.style_weight * style
        return total


class HighReceptiveFieldLoss(nn.Module):
    """Squared difference of features with a high receptive field (Suvorov et al. 2022, LaMa).

    Each stage is averaged over its positions and channels; the four are added, to which LaMa's
    weight of 30 refers.
    """

    def __init__(self, resnet: DilatedResNet50) -> None:
        super().__init__()
        self.resnet = resnet

    def forward(self, restored: Tensor, gt: Tensor) -> Tensor:
        """The sum over stages, float32."""
        with torch.no_grad():
            true = self.resnet(gt)
        seen = self.resnet(restored)
        parts = [(s.float() - t.float()).square().mean() for s, t in zip(seen, true, strict=True)]
        return torch.stack(parts).sum()


def require_layers(names: Collection[str], layers: Collection[str]) -> None:
    """Raise RecipeError for names that are not among a VGG's convolutions."""
    if unknown := sorted(set(names) - set(layers)):
        raise RecipeError(
            f"layer {unknown[0]!r} found for the perceptual loss; choose from {', '.join(layers)}"
        )


def mean_abs(seen: Tensor, true: Tensor) -> Tensor:
    """Mean absolute difference, in float32."""
    return (seen.float() - true.float()).abs().mean()
