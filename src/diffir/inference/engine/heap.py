"""Control how glibc handles freed memory; no effect with other C libraries."""

import ctypes
import os
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # constants of glibc's malloc.h
LARGEST = 32 * 2**20  # bytes, the most that glibc allows
GAPS = 100_000_000


@cache
def keep_freed_blocks() -> None:
    """Keep freed blocks of the size of stripes in the process.

    By default glibc returns most of them to the system, and the next stripe faults them in again.
    An environment variable MALLOC_… takes precedence.
    """
    library = glibc()
    if library is not None and not any(name.startswith("MALLOC_") for name in os.environ):
        library.mallopt(MMAP_THRESHOLD, LARGEST)
        library.mallopt(TRIM_THRESHOLD, 2 * LARGEST)


def give_back_gaps(beside: int) -> None:
    """Return free memory between blocks, up to 100 MB, if the maps of `beside` bytes are large; for
    small pictures it would take more time than everything else.
    """
    library = glibc()
    if library is not None and beside > GAPS:
        library.malloc_trim(0)


@cache
def glibc() -> ctypes.CDLL | None:
    """The C library of this process, None if it is not glibc."""
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows
        return None
    return library if hasattr(library, "gnu_get_libc_version") else None
