"""Training losses as functions of tensors, and the networks they use."""

from .adversarial import (
    GAN_LOSSES,
    HINGE,
    NON_SATURATING,
    R1_WEIGHT,
    VANILLA,
    GANLoss,
    fake_target,
    feature_matching,
    r1_penalty,
)
from .discriminators import PatchDiscriminator, UNetDiscriminator
from .ipr import ipr_kl, ipr_l1, ipr_l2
from .perceptual import (
    VGG16_LAYER_WEIGHTS,
    VGG19_LAYER_WEIGHTS,
    HighReceptiveFieldLoss,
    PerceptualLoss,
    gram,
)
from .pixel import charbonnier, masked_l1, negative_psnr, pixel_l1
from .resnet import DilatedResNet50, load_dilated_resnet50
from .vgg import VGG19, load_vgg16, load_vgg19
from .weights import PublicWeights, find_weights, load_into, read_weights

__all__ = [
    "GAN_LOSSES",
    "HINGE",
    "NON_SATURATING",
    "R1_WEIGHT",
    "VANILLA",
    "VGG16_LAYER_WEIGHTS",
    "VGG19",
    "VGG19_LAYER_WEIGHTS",
    "DilatedResNet50",
    "GANLoss",
    "HighReceptiveFieldLoss",
    "PatchDiscriminator",
    "PerceptualLoss",
    "PublicWeights",
    "UNetDiscriminator",
    "charbonnier",
    "fake_target",
    "feature_matching",
    "find_weights",
    "gram",
    "ipr_kl",
    "ipr_l1",
    "ipr_l2",
    "load_dilated_resnet50",
    "load_into",
    "load_vgg16",
    "load_vgg19",
    "masked_l1",
    "negative_psnr",
    "pixel_l1",
    "r1_penalty",
    "read_weights",
]
