"""Weights files: our own (format) and the authors', unchanged (official)."""

from . import format, official
from .checkpoint import Checkpoint
from .format import Info

__all__ = ["Checkpoint", "Info", "format", "official"]
