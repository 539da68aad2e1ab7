"""Write the lines of a manifest: append to a file, or put objects, which cannot be appended to."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

from .places import put, reached

if TYPE_CHECKING:
    from upath import UPath

Write: TypeAlias = Callable[[Sequence[bytes]], None]
"""Writes lines durably, all or none; raises OSError."""

IN_A_PART = 256


class Together:
    """Batches lines of several threads: those that arrive during a write are written together."""

    def __init__(self, write: Write) -> None:
        self.write = write
        self.waiting: list[tuple[bytes, Future[None]]] = []
        self.door = Lock()
        self.turn = Lock()

    def __call__(self, line: bytes) -> None:
        """Return when the line is written durably; raises OSError if that fails."""
        safe: Future[None] = Future()
        with self.door:
            self.waiting.append((line, safe))
        with self.turn:
            with self.door:
                taken, self.waiting = self.waiting, []
            if taken:
                self.write_all(taken)
        safe.result()

    def write_all(self, taken: Sequence[tuple[bytes, Future[None]]]) -> None:
        """Write lines at once, and notify the waiting threads."""
        try:
            self.write([line for line, _ in taken])
        except Exception as error:
            for _, safe in taken:
                safe.set_exception(error)
        else:
            for _, safe in taken:
                safe.set_result(None)


def append(descriptor: int, lines: Sequence[bytes]) -> None:
    """Append to a file in one piece, and flush it to disk; raises OSError."""
    data = b"".join(lines)
    end = os.fstat(descriptor).st_size
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(28, "No space left on device")
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


class Parts:
    """Objects of 256 lines; since none can grow, the last one is rewritten for each new line."""

    def __init__(self, folder: UPath) -> None:
        """Name the parts of this run, and write the first one, to check that the store allows it.

        Raises:
            OSError: when the store refuses it.
        """
        self.folder = folder
        self.run = f"{time.time_ns():020}-{uuid.uuid4().hex[:8]}"
        self.number = 0
        self.lines: list[bytes] = []
        self.write([])

    def __call__(self, lines: Sequence[bytes]) -> None:
        """Write lines, all into one object; raises OSError."""
        if len(self.lines) >= IN_A_PART:
            self.number += 1
            self.lines = []
        self.write(lines)
        self.lines += lines

    def write(self, lines: Sequence[bytes]) -> None:
        """Rewrite the last part with more lines."""
        put(b"".join([*self.lines, *lines]), self.name)

    @property
    def name(self) -> UPath:
        """The path of the last part."""
        return self.folder / f"{self.run}-{self.number:06}.jsonl"

    def close(self) -> None:
        """Remove a part without lines; raises OSError."""
        if not self.lines:
            with reached(self.folder):
                self.name.fs.rm_file(self.name.path)
