"""A web page: drop a photo, say what is wrong with it, download it restored."""

from .page import build_page, look

__all__ = ["build_page", "look"]
