"""From pictures to batches; every random draw comes from (seed, phase, step, index)."""

from .batch import Batch
from .folders import picture_files
from .pairs import Pair, PairCrops, bicubic_pair
from .resize import imresize

__all__ = ["Batch", "Pair", "PairCrops", "bicubic_pair", "imresize", "picture_files"]
