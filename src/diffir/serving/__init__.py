"""HTTP for programs: pictures are posted, better pictures are answered, at once or as jobs."""

from .app import build_app
from .settings import Settings

__all__ = ["Settings", "build_app"]
