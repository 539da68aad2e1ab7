"""The engine: the network of `model` over pictures of any size, exactly, in bounded memory."""

from .budget import bytes_of, default_budget
from .plan import Plan, plan_for
from .run import restore
from .tools import StoppedError

__all__ = ["Plan", "StoppedError", "bytes_of", "default_budget", "plan_for", "restore"]
