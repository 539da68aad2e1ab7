"""Restoring pictures: the engine behind every entrance."""

from .pipeline import Pipeline, restore
from .restorer import ImageLike, Precision, Restorer

__all__ = ["ImageLike", "Pipeline", "Precision", "Restorer", "restore"]
