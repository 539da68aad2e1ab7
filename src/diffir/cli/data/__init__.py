"""diffir data: make, check and view data for training and evaluation."""

from . import blur_video, check, degrade, masks, prepare, preview, shard  # noqa: F401  (each registers its verb)
from .app import data

__all__ = ["data"]
