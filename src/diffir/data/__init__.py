"""From pictures to batches; every random draw comes from (seed, phase, step, index)."""

from .batch import Batch
from .degradations import MILD, PUBLISHED, Degradation, PairPool, degrade, sharpen
from .folders import picture_files
from .pairs import Pair, PairCrops, bicubic_pair
from .resize import imresize

__all__ = [
    "MILD",
    "PUBLISHED",
    "Batch",
    "Degradation",
    "Pair",
    "PairCrops",
    "PairPool",
    "bicubic_pair",
    "degrade",
    "imresize",
    "picture_files",
    "sharpen",
]
