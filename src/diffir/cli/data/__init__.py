"""diffir data: make, check and look at what a network is trained and judged on."""

from . import blur_video, check, degrade, masks, prepare, preview, shard  # noqa: F401  (each registers its verb)
from .app import data

__all__ = ["data"]
