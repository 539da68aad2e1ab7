"""What is wrong with a restored picture: pixels, features, and what a discriminator says."""

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
    VGG19Features,
)

Terms = dict[str, Tensor]
"""Losses by name, weighted: their sum is minimised, and each is logged."""


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


def ipr_term(settings: IPRLoss, guessed: Tensor, true: Tensor) -> Tensor:
    """L_diff of guessed IPRs (B, 4C'), weighted."""
    kinds: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "ipr_l1": ipr_l1,
        "ipr_l2": ipr_l2,
        "ipr_kl": partial(ipr_kl, temperature=settings.temperature),
    }
    return settings.weight * kinds[settings.kind](guessed.float(), true.float())


def variety_terms(ipr: Tensor, weights: dict[str, float]) -> Terms:
    """What keeps the IPRs (B, 4C') of a whole batch from being alike, weighted, by name."""
    kinds = {
        "ipr_variance": ipr_variance,
        "ipr_covariance": ipr_covariance,
        "ipr_entropy": ipr_entropy,
    }
    return {name: weight * kinds[name](ipr) for name, weight in weights.items()}


def perceptual_loss(settings: Perceptual) -> nn.Module:
    """The network whose features are compared, with weights from this machine.

    Raises:
        WeightsError: when they are not here, naming the file and where it can be had.
    """
    if isinstance(settings, VGG19Features):
        return PerceptualLoss(load_vgg19(), settings.layer_weights, settings.style_weight)
    return HighReceptiveFieldLoss(load_dilated_resnet50())


class RestorationLoss(nn.Module):
    """The terms that judge what the restorer made."""

    def __init__(
        self,
        pixel: PixelLoss,
        perceptual: Perceptual | None = None,
        judged: Callable[[Tensor, Batch], Terms] | None = None,
    ) -> None:
        """Build; `judged` gives the terms of a discriminator, which rests meanwhile."""
        super().__init__()
        self.pixel = pixel
        self.perceptual = perceptual_loss(perceptual) if perceptual else None
        self.perceptual_weight = perceptual.weight if perceptual else 0.0
        self.judged = judged

    def forward(self, restored: Tensor, batch: Batch) -> Terms:
        """Terms of (B, 3, H, W) beside the batch's ground truth."""
        terms: Terms = {self.pixel.kind: pixel_term(self.pixel, restored, batch)}
        if self.perceptual is not None:
            terms["perceptual"] = self.perceptual_weight * self.perceptual(restored, batch.gt)
        return terms | (self.judged(restored, batch) if self.judged else {})
