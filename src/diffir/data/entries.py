"""Entries: the pictures of a set, located and measured but not decoded."""

import io
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from diffir.errors import PictureError
from diffir.images import Header, decode, header

from .pixels import Pixels, rgb_pixels

logger = logging.getLogger(__name__)


class Part(io.RawIOBase):
    """A range of a file as a read-only file."""

    def __init__(self, file: BinaryIO, offset: int, length: int) -> None:
        super().__init__()
        self.file, self.offset, self.length, self.position = file, offset, length, 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position in the range."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.length}[whence]
        self.position = max(base + offset, 0)
        return self.position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Read into the buffer, up to the end of the range."""
        self.file.seek(self.offset + self.position)
        data = self.file.read(min(len(buffer), max(self.length - self.position, 0)))
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)

    def close(self) -> None:
        """Close the underlying file."""
        self.file.close()
        super().close()


@dataclass(frozen=True, slots=True)
class File:
    """The bytes of a picture: a file, or a member of a shard."""

    name: str
    """For messages."""
    path: Path
    offset: int = 0
    length: int | None = None
    """None: to the end."""

    @property
    def label(self) -> Path:
        """Its name without the folder or shard."""
        return Path(self.path.name if self.length is None else self.name.rpartition(": ")[2])

    @property
    def size(self) -> int:
        """Bytes. Raises OSError."""
        return self.path.stat().st_size if self.length is None else self.length

    def open(self) -> BinaryIO:
        """The bytes as a file. Raises OSError."""
        file = self.path.open("rb")
        if self.length is None:
            return file
        return cast("BinaryIO", io.BufferedReader(Part(file, self.offset, self.length)))

    def read(self) -> bytes:
        """The bytes. Raises PictureError."""
        try:
            with self.open() as file:
                return file.read()
        except OSError as error:
            raise PictureError(f"{self.name}: cannot be read ({error}); check the file") from error

    def header(self) -> Header:
        """What the first bytes say. Raises PictureError."""
        try:
            with self.open() as file:
                return header(self.name, file)
        except OSError as error:
            raise PictureError(f"{self.name}: cannot be read ({error}); check the file") from error

    def pixels(self) -> Pixels:
        """The decoded colours. Raises PictureError."""
        return rgb_pixels(decode(self.read(), self.name))


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture of a set, with its LQ if it has one."""

    gt: File
    lq: File | None
    height: int
    """Of GT."""
    width: int


def conversions(head: Header) -> dict[str, str]:
    """The conversions that training applies to a picture, by kind, in words."""
    applying = {
        "gray": (head.channels == 1, "is gray; training repeats it in three channels"),
        "alpha": (head.has_alpha, "has transparency, which is dropped"),
        "CMYK": (head.is_cmyk, "is CMYK; it is converted to RGB without its profile"),
        "16 bit": (head.bit_depth == 16, "has 16 bits a channel; they are rounded to 8"),
    }
    return {kind: text for kind, (applies, text) in applying.items() if applies}


def indexed(
    files: Iterable[tuple[File, File | None]], scale: int
) -> tuple[list[Entry], dict[str, str]]:
    """Entries of GT and LQ files, and by name a sentence for each that is unfit.

    Only headers are read. GT may exceed LQ times the scale by less than the scale, as pictures do
    that were not cropped to a multiple of it.
    """
    entries, unfit, converted = list[Entry](), dict[str, str](), Counter[str]()
    for gt, lq in files:
        try:
            head = gt.header()
            entries.append(entry_of(gt, head, lq, scale))
        except PictureError as error:
            unfit[gt.name] = str(error)
        else:
            converted.update(conversions(head).keys())
    for kind, count in converted.items():
        logger.info("%d of %d pictures are converted: %s", count, len(entries), kind)
    return entries, unfit


def entry_of(gt: File, size: Header, lq: File | None, scale: int) -> Entry:
    """The entry of a picture with its header. Raises PictureError if the sizes do not match."""
    if lq is not None:
        small = lq.header()
        if (size.height // scale, size.width // scale) != (small.height, small.width):
            raise PictureError(
                f"{lq.name} is {small.width}×{small.height} and its GT {size.width}×{size.height}; "
                f"wanted LQ of {size.width // scale}×{size.height // scale} for scale {scale}"
            )
    return Entry(gt=gt, lq=lq, height=size.height, width=size.width)
