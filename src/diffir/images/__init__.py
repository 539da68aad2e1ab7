"""Pictures as people know them: colour, alpha, bit depth, ICC profile and EXIF in one value."""

from .color import rgb_to_y
from .picture import Picture
from .read import MAX_PIXELS, read
from .write import SUFFIXES, write

__all__ = ["MAX_PIXELS", "SUFFIXES", "Picture", "read", "rgb_to_y", "write"]
