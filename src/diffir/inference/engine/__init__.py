"""The engine: the network of `model` for pictures of any size, exact and in bounded memory."""

from .budget import bytes_of, default_budget
from .plan import Plan, plan_for
from .run import restore

__all__ = ["Plan", "bytes_of", "default_budget", "plan_for", "restore"]
