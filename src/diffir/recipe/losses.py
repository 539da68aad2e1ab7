"""The losses of a recipe, as values: each may be given by its name instead of its settings."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Field, field_validator, model_validator

from diffir.data import Values
from diffir.data.settings import NotNegative, Positive, named
from diffir.losses import R1_WEIGHT, VGG16_LAYER_WEIGHTS, VGG19_LAYER_WEIGHTS
from diffir.losses.ipr import KL_TEMPERATURE
from diffir.losses.perceptual import require_layers
from diffir.losses.pixel import CHARBONNIER_EPS, HOLE_WEIGHT, KNOWN_WEIGHT
from diffir.losses.vgg import VGG16_CONVS, VGG19_CONVS, vgg_places


class PixelL1(Values):
    """Mean absolute difference, L_rec of the paper."""

    kind: Literal["pixel_l1"] = "pixel_l1"
    weight: NotNegative = 1.0


class Charbonnier(Values):
    """L1, smoothed near 0."""

    kind: Literal["charbonnier"] = "charbonnier"
    weight: NotNegative = 1.0
    eps: Positive = CHARBONNIER_EPS


class MaskedL1(Values):
    """Mean absolute difference, with different weights on known pixels and the hole (inpainting).

    With the published 0 in the hole, only a perceptual loss and a discriminator train it.
    """

    kind: Literal["masked_l1"] = "masked_l1"
    known_weight: NotNegative = KNOWN_WEIGHT
    hole_weight: NotNegative = HOLE_WEIGHT


class NegativePSNR(Values):
    """Minus the PSNR in dB; its gradient is far larger than L1's, hence the weight.

    Like other squared errors, it favours the mean of possible answers, L1 their median. With a
    mask, of the hole only.
    """

    kind: Literal["psnr"] = "psnr"
    weight: NotNegative = 0.01


PIXEL_LOSSES: dict[str, Values] = {
    "pixel_l1": PixelL1(),
    "charbonnier": Charbonnier(),
    "masked_l1": MaskedL1(),
    "psnr": NegativePSNR(),
}
PixelLoss: TypeAlias = Annotated[
    Annotated[PixelL1 | Charbonnier | MaskedL1 | NegativePSNR, Field(discriminator="kind")],
    BeforeValidator(named(PIXEL_LOSSES)),
]


class IPRLoss(Values):
    """L_diff, between the predicted and the teacher's IPR; the paper compares the three kinds."""

    kind: Literal["ipr_l1", "ipr_l2", "ipr_kl"] = "ipr_l1"
    weight: NotNegative = 1.0
    temperature: Positive = KL_TEMPERATURE
    """Of the softmax in ipr_kl."""


IPR_LOSSES: dict[str, Values] = {
    "ipr_l1": IPRLoss(),
    "ipr_l2": IPRLoss(kind="ipr_l2"),
    "ipr_kl": IPRLoss(kind="ipr_kl"),
}


class VGGFeatures(Values):
    """Distance of a VGG's features before activation (super-resolution)."""

    convs: ClassVar[tuple[int, ...]]
    kind: str
    weight: NotNegative = 1.0
    layer_weights: dict[str, NotNegative]
    style_weight: NotNegative = 0.0
    """Weight of the same sum over Gram matrices, added to it."""

    @field_validator("layer_weights")
    @classmethod
    def of_layers(cls, weights: dict[str, float]) -> dict[str, float]:
        """Refuse layers that the network does not have."""
        require_layers(weights, vgg_places(cls.convs))
        return weights


class VGG19Features(VGGFeatures):
    """Of VGG-19, as in the authors' GAN training."""

    convs = VGG19_CONVS
    kind: Literal["vgg19"] = "vgg19"
    layer_weights: dict[str, NotNegative] = VGG19_LAYER_WEIGHTS


class VGG16Features(VGGFeatures):
    """Of VGG-16, whose weights LPIPS and DISTS need, too."""

    convs = VGG16_CONVS
    kind: Literal["vgg16"] = "vgg16"
    layer_weights: dict[str, NotNegative] = VGG16_LAYER_WEIGHTS


class WideFeatures(Values):
    """Distance of features of a dilated ResNet-50 with a high receptive field (inpainting)."""

    kind: Literal["dilated_resnet50"] = "dilated_resnet50"
    weight: NotNegative = 30.0


PERCEPTUAL: dict[str, Values] = {
    "vgg19": VGG19Features(),
    "vgg16": VGG16Features(),
    "dilated_resnet50": WideFeatures(),
}
Perceptual: TypeAlias = Annotated[
    Annotated[VGG19Features | VGG16Features | WideFeatures, Field(discriminator="kind")],
    BeforeValidator(named(PERCEPTUAL)),
]


Decay: TypeAlias = Annotated[float, Field(ge=0, lt=1)]
"""Decay of a running mean per step."""


class Adversary(Values):
    """A discriminator, and the network's adversarial loss."""

    discriminator: Literal["unet", "patch"] = "unet"
    """`unet`: a logit for every pixel, with spectral norm; `patch`: a logit for every patch."""
    width: int = Field(default=64, gt=0)
    loss: Literal["vanilla", "hinge", "non_saturating"] = "vanilla"
    weight: NotNegative = 1.0
    """Of the network's adversarial term."""
    learning_rate: Positive = 1e-4
    """Of the discriminator, at the phase's start; it follows the phase's schedule."""
    adam_betas: tuple[Decay, Decay] = (0.9, 0.99)
    warmup_steps: int = Field(default=0, ge=0)
    """Steps at the phase's start in which only the discriminator is trained."""
    r1_weight: NotNegative = 0.0
    """Of the discriminator's squared gradient at true pictures."""
    r1_every: int = Field(default=1, gt=0)
    """Apply this costly penalty only every so many steps, with a weight that many times as large
    (StyleGAN2's lazy regularization)."""
    feature_matching_weight: NotNegative = 0.0
    """Of the distance between the discriminator's features; only for `patch`."""
    mask_as_target: bool = False
    """Only the hole of a restored picture is fake (inpainting)."""
    weights: Path | None = None
    """A discriminator to start from, as runs with one write it at the end of a phase."""
    collapse_after: int | None = Field(default=2000, gt=0)
    """Stop once it has classified all pictures correctly for so many steps; None: never."""

    @model_validator(mode="after")
    def has_features(self) -> "Adversary":
        """Refuse feature matching with a discriminator that returns no features."""
        if self.feature_matching_weight and self.discriminator != "patch":
            raise ValueError("feature matching found with the discriminator 'unet'; choose 'patch'")
        return self


ADVERSARIES: dict[str, Adversary] = {
    "unet": Adversary(),
    "patch": Adversary(
        discriminator="patch",
        loss="non_saturating",
        weight=10,
        adam_betas=(0.9, 0.999),
        r1_weight=R1_WEIGHT,
        feature_matching_weight=100,
        mask_as_target=True,
    ),
}
"""The published settings of super-resolution and of inpainting."""
