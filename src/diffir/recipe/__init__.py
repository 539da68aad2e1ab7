"""How a network is trained: phases with their sizes, rates and losses, as values."""

from .losses import (
    Adversary,
    Charbonnier,
    IPRLoss,
    MaskedL1,
    NegativePSNR,
    Perceptual,
    PixelL1,
    PixelLoss,
    VGG16Features,
    VGG19Features,
    VGGFeatures,
    WideFeatures,
)
from .phase import Growth, Phase
from .recipe import PHASES, Recipe
from .schedules import Cosine, Milestones, Restarts, Schedule

__all__ = [
    "PHASES",
    "Adversary",
    "Charbonnier",
    "Cosine",
    "Growth",
    "IPRLoss",
    "MaskedL1",
    "Milestones",
    "NegativePSNR",
    "Perceptual",
    "Phase",
    "PixelL1",
    "PixelLoss",
    "Recipe",
    "Restarts",
    "Schedule",
    "VGG16Features",
    "VGG19Features",
    "VGGFeatures",
    "WideFeatures",
]
