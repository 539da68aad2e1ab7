"""Restoring pictures: the engine behind every entrance."""

from .restorer import ImageLike, Precision, Restorer

__all__ = ["ImageLike", "Precision", "Restorer"]
