"""Files that appear whole or not at all."""

import os
import uuid
from pathlib import Path


def write_whole(data: bytes, path: Path) -> None:
    """Write beside the goal, flush to the disk and rename, which replaces a file at once.

    Folders are made on the way. A kill at any moment leaves the old file or the new one, whole,
    and at worst a hidden `.part` file beside it.

    Raises:
        OSError, ValueError: when the path, the rights or the space do not suffice; nothing is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".diffir-{uuid.uuid4().hex}.part")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
