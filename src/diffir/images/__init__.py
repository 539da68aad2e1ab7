"""Pictures: colour, alpha, bit depth, ICC profile and EXIF in one value."""

from .header import Header, header
from .picture import Picture
from .read import MAX_PIXELS, PictureSizeError, decode, read
from .write import SUFFIXES, encode, require_fit, write

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "Header",
    "Picture",
    "PictureSizeError",
    "decode",
    "encode",
    "header",
    "read",
    "require_fit",
    "write",
]
