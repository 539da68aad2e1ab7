"""An HTTP API that restores posted pictures, in the response or as jobs."""

from .app import build_app
from .settings import Settings

__all__ = ["Settings", "build_app"]
