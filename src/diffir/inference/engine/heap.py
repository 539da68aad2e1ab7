"""What the C library does with freed memory, where it is glibc; elsewhere these do nothing."""

import ctypes
import os
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # numbers of glibc's malloc.h
LARGEST = 32 * 2**20  # bytes, as much as glibc allows
GAPS = 100_000_000


@cache
def keep_freed_blocks() -> None:
    """Let blocks as large as those of stripes be kept when they are freed.

    By itself glibc gives most of them back to the system, to be faulted in again at the next
    stripe. Whoever sets a variable MALLOC_… has chosen otherwise.
    """
    library = glibc()
    if library is not None and not any(name.startswith("MALLOC_") for name in os.environ):
        library.mallopt(MMAP_THRESHOLD, LARGEST)
        library.mallopt(TRIM_THRESHOLD, 2 * LARGEST)


def give_back_gaps(beside: int) -> None:
    """Return what lies free between blocks, up to 100 MB, where it counts beside maps of so many
    bytes; in small pictures it would cost more time than all else.
    """
    library = glibc()
    if library is not None and beside > GAPS:
        library.malloc_trim(0)


@cache
def glibc() -> ctypes.CDLL | None:
    """The C library of this process, None where it is another."""
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows
        return None
    return library if hasattr(library, "gnu_get_libc_version") else None
