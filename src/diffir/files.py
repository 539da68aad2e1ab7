"""Atomic file writes, and removing what a killed process left unfinished."""

import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

UNFINISHED = re.compile(r"\.diffir-[0-9a-f]{32}\.part")
"""Names of files that are being written, or that a killed process left."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A temporary file beside the target, flushed to disk and renamed at the end.

    Renaming is atomic, and missing folders are created. A kill at any moment leaves the old or the
    new file complete, and at worst a hidden `.part` file beside it (see `sweep`).

    Raises:
        OSError, ValueError: when it cannot be written; nothing is left behind.
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
        except OSError as error:  # for a full disk without a file name, else naming the hidden file
            if error.filename in (None, str(beside)):
                error.filename = str(path)
            raise
        finally:
            beside.unlink(missing_ok=True)


def write_whole(data: bytes, path: Path) -> None:
    """Write a file atomically; raises as `whole_file`."""
    with whole_file(path) as file:
        file.write(data)


def sweep(folder: Path) -> list[Path]:
    """Remove unfinished files in a folder that no running process is writing; returns their paths.

    A lock shows whether a process is alive. On disks without locks, nothing is removed.
    """
    swept = []
    for path in folder.glob(".diffir-*.part"):
        if UNFINISHED.fullmatch(path.name) and is_abandoned(path):
            try:
                path.unlink()
            except OSError:  # gone, or open in another process (Windows)
                continue
            swept.append(path)
    return swept


def is_abandoned(path: Path) -> bool:
    """Whether no process holds the lock of an unfinished file."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        with path.open("r+b") as file:
            return os.name == "nt" or lock(file.fileno()) is True
    except OSError:
        return False


@contextmanager
def claimed(file: BinaryIO) -> Iterator[None]:
    """Hold the lock of a file, even after it is closed, where locks exist."""
    if os.name == "nt":  # a second descriptor would prevent renaming
        yield
        return
    descriptor = os.dup(file.fileno())
    try:
        lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int) -> bool | None:
    """Lock an open file; the lock ends with the process.

    Returns False if another process holds it, None without locks (Windows, some network disks).
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
    """The sha256 of a file's content in hexadecimal; raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def settled(word: str) -> str:
    """An existing path made absolute; other words unchanged."""
    return str(Path(word).resolve()) if Path(word).exists() else word
