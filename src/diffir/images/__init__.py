"""Pictures as people know them: colour, alpha, bit depth, ICC profile and EXIF in one value."""

from .picture import Picture
from .read import MAX_PIXELS, read
from .write import SUFFIXES, write

__all__ = ["MAX_PIXELS", "SUFFIXES", "Picture", "read", "write"]
