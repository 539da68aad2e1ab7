"""From files to batches; every random draw comes from (seed, phase, step, index)."""

from .batch import Batch
from .crops import Augment
from .degradations import DEGRADATIONS, Bicubic, Degradation, unfit
from .draws import Draws
from .folders import picture_files
from .masks import MASKS, Holes
from .motion import MotionBlur, motion_blur
from .pool import PairPool
from .resize import imresize
from .second_order import MILD, PUBLISHED, SecondOrder, degrade, sharpen
from .sets import data_sets, open_sets
from .settings import Values
from .sources import OnBad, Source
from .stream import Feed, Stream
from .synthetic import DeadLeaves, dead_leaves

__all__ = [
    "DEGRADATIONS",
    "MASKS",
    "MILD",
    "PUBLISHED",
    "Augment",
    "Batch",
    "Bicubic",
    "DeadLeaves",
    "Degradation",
    "Draws",
    "Feed",
    "Holes",
    "MotionBlur",
    "OnBad",
    "PairPool",
    "SecondOrder",
    "Source",
    "Stream",
    "Values",
    "data_sets",
    "dead_leaves",
    "degrade",
    "imresize",
    "motion_blur",
    "open_sets",
    "picture_files",
    "sharpen",
    "unfit",
]
