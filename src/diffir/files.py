"""Files that appear whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write beside the goal; at the end it is flushed to the disk and renamed.

    Renaming replaces a file at once. Folders are made on the way. A kill at any moment leaves the
    old file or the new one, whole, and at worst a hidden `.part` file beside it.

    Raises:
        OSError, ValueError: when the path, the rights or the space do not suffice; nothing is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".diffir-{uuid.uuid4().hex}.part")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_whole(data: bytes, path: Path) -> None:
    """Write a file that appears whole or not at all; raises as `whole_file`."""
    with whole_file(path) as file:
        file.write(data)
