"""Folders restored by a Ray cluster, or by the processes that torchrun starts."""

from .cluster import cluster
from .on_ray import restore_on_ray
from .ranks import rank_of_torchrun

__all__ = ["cluster", "rank_of_torchrun", "restore_on_ray"]
