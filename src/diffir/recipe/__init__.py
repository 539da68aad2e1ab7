"""How a network is trained, as values: phases with their sizes, rates and losses."""

from .losses import (
    Adversary,
    Charbonnier,
    IPRLoss,
    MaskedL1,
    NegativePSNR,
    Perceptual,
    PixelL1,
    PixelLoss,
    VGG19Features,
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
    "VGG19Features",
    "WideFeatures",
]
