"""diffir data: make, check and look at what a network is trained and judged on."""

from .app import data

__all__ = ["data"]
