"""The loss terms of a recipe: on pixels, features, discriminator logits and IPRs."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from diffir.data import Batch
from diffir.losses import (
    HighReceptiveFieldLoss,
    PerceptualLoss,
    charbonnier,
    ipr_kl,
    ipr_l1,
    ipr_l2,
    load_dilated_resnet50,
    load_vgg16,
    load_vgg19,
    masked_l1,
    negative_psnr,
    pixel_l1,
)
from diffir.losses.variety import ipr_covariance, ipr_entropy, ipr_variance
from diffir.recipe import (
    Charbonnier,
    IPRLoss,
    MaskedL1,
    NegativePSNR,
    Perceptual,
    PixelLoss,
    VGGFeatures,
)

Terms = dict[str, Tensor]
"""Weighted losses by name: their sum is minimised, and each is logged."""


def pixel_term(settings: PixelLoss, restored: Tensor, batch: Batch) -> Tensor:
    """L_rec of restored pictures (B, 3, H, W), weighted."""
    if isinstance(settings, MaskedL1):
        assert batch.mask is not None
        weights = settings.known_weight, settings.hole_weight
        return masked_l1(restored, batch.gt, batch.mask, *weights)
    if isinstance(settings, Charbonnier):
        return settings.weight * charbonnier(restored, batch.gt, settings.eps)
    if isinstance(settings, NegativePSNR):
        return settings.weight * negative_psnr(restored, batch.gt, batch.mask)
    return settings.weight * pixel_l1(restored, batch.gt)


def ipr_term(settings: IPRLoss, predicted: Tensor, true: Tensor) -> Tensor:
    """L_diff of predicted IPRs (B, 4C'), weighted."""
    kinds: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "ipr_l1": ipr_l1,
        "ipr_l2": ipr_l2,
        "ipr_kl": partial(ipr_kl, temperature=settings.temperature),
    }
    return settings.weight * kinds[settings.kind](predicted.float(), true.float())


def variety_terms(ipr: Tensor, weights: dict[str, float]) -> Terms:
    """Terms that keep the IPRs (B, 4C') of a whole batch apart, weighted, by name."""
    kinds = {
        "ipr_variance": ipr_variance,
        "ipr_covariance": ipr_covariance,
        "ipr_entropy": ipr_entropy,
    }
    return {name: weight * kinds[name](ipr) for name, weight in weights.items()}


def perceptual_loss(settings: Perceptual) -> nn.Module:
    """A perceptual loss, with weights found on this machine.

    Raises:
        WeightsError: when they are missing, naming the file and its address.
    """
    if isinstance(settings, VGGFeatures):
        vgg = load_vgg19() if settings.kind == "vgg19" else load_vgg16()
        return PerceptualLoss(vgg, settings.layer_weights, settings.style_weight)
    return HighReceptiveFieldLoss(load_dilated_resnet50())


class RestorationLoss(nn.Module):
    """The terms of restored pictures."""

    def __init__(
        self,
        pixel: PixelLoss,
        perceptual: Perceptual | None = None,
        judged: Callable[[Tensor, Batch], Terms] | None = None,
    ) -> None:
        """Build; `judged` gives the adversarial terms, without training the discriminator."""
        super().__init__()
        self.pixel = pixel
        self.perceptual = perceptual_loss(perceptual) if perceptual else None
        self.perceptual_weight = perceptual.weight if perceptual else 0.0
        self.judged = judged

    def forward(self, restored: Tensor, batch: Batch) -> Terms:
        """Terms of restored pictures (B, 3, H, W) and the batch's ground truth."""
        terms: Terms = {self.pixel.kind: pixel_term(self.pixel, restored, batch)}
        if self.perceptual is not None:
            terms["perceptual"] = self.perceptual_weight * self.perceptual(restored, batch.gt)
        return terms | (self.judged(restored, batch) if self.judged else {})
