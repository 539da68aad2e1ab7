"""Restoring pictures: the engine behind every entry point."""

from .devices import Precision
from .pipeline import Pipeline, restore
from .restorer import ImageLike, Restorer

__all__ = ["ImageLike", "Pipeline", "Precision", "Restorer", "restore"]
