"""Files that appear whole or not at all, and what a kill may leave of them."""

import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

UNFINISHED = re.compile(r"\.diffir-[0-9a-f]{32}\.part")
"""The names of files that are being written, or that a kill left."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write beside the goal; at the end it is flushed to the disk and renamed.

    Renaming replaces a file at once. Folders are made on the way. A kill at any moment leaves the
    old file or the new one, whole, and at worst a hidden `.part` file beside it (see `sweep`).

    Raises:
        OSError, ValueError: when the path, the rights or the space do not suffice; nothing is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".diffir-{uuid.uuid4().hex}.part")
    with ExitStack() as until_renamed:
        try:
            with beside.open("wb") as file:
                until_renamed.enter_context(claimed(file))
                yield file
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:  # that of a full disk names no file, others the hidden one
            if error.filename in (None, str(beside)):
                error.filename = str(path)
            raise
        finally:
            beside.unlink(missing_ok=True)


def write_whole(data: bytes, path: Path) -> None:
    """Write a file that appears whole or not at all; raises as `whole_file`."""
    with whole_file(path) as file:
        file.write(data)


def sweep(folder: Path) -> list[Path]:
    """Remove the unfinished files in a folder that no living process writes, and name them.

    A lock tells: it ends with its process. Where a disk has no locks, nothing is removed.
    """
    swept = []
    for path in folder.glob(".diffir-*.part"):
        if UNFINISHED.fullmatch(path.name) and is_abandoned(path):
            try:
                path.unlink()
            except OSError:  # gone, or open on Windows, which is its way to say that it is in use
                continue
            swept.append(path)
    return swept


def is_abandoned(path: Path) -> bool:
    """Whether no process holds an unfinished file."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        with path.open("r+b") as file:
            return os.name == "nt" or lock(file.fileno()) is True
    except OSError:
        return False


@contextmanager
def claimed(file: BinaryIO) -> Iterator[None]:
    """Hold the lock of a file, beyond its closing, where there are locks."""
    if os.name == "nt":  # a second descriptor would forbid the renaming
        yield
        return
    descriptor = os.dup(file.fileno())
    try:
        lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int) -> bool | None:
    """Take the lock of an open file, which ends with the process.

    False where another holds it, None where there are no locks (Windows, some network disks).
    """
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def digest_of(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal digits; raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def settled(word: str) -> str:
    """A path as it is found from everywhere; other words as they are."""
    return str(Path(word).resolve()) if Path(word).exists() else word
