"""The directories of a TIFF, or of EXIF, which is a TIFF: how much data their entries declare.

Any number of entries may point to the same bytes, and a reader copies them for each.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Literal, TypeAlias

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
SIZES |= {16: 8, 17: 8, 18: 8}
"""Bytes per value, by TIFF type number."""
PLAIN = {1, 2, 7}
"""Types that are read as one byte string; with the others, every value becomes an object."""
BELOW = {34665, 34853, 40965}
"""Tags that point to a directory: Exif, GPS, Interop."""
MOST_NUMBERS = 2**18
"""Entries and numbers: 500 × what a camera writes; enough for the strips of any picture."""
SPARE = 2**20
"""Bytes that the tags may hold even in a file smaller than this."""

Entry: TypeAlias = tuple[int, int, int, bytes]
"""Tag, type, number of values, and the values or their offset."""


class Directories:
    """The directories in the bytes of a TIFF; whatever lies beyond its end is ignored."""

    def __init__(self, data: bytes, *, is_big: bool = False) -> None:
        self.data, self.is_big = data, is_big  # BigTIFF; EXIF never is
        self.order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
        order = "<" if self.order == "little" else ">"
        count, offset, size = ("Q", "Q", 8) if is_big else ("H", "I", 4)
        self.count, self.link = Struct(order + count), Struct(order + offset)
        self.entry = Struct(f"{order}HH{offset}{size}s")

    def first(self) -> int:
        """The offset of the first directory."""
        return self.number(self.link, 8 if self.is_big else 4)

    def number(self, kind: Struct, place: int) -> int:
        """The number at an offset; 0 beyond the end."""
        inside = place + kind.size <= len(self.data)
        return kind.unpack_from(self.data, place)[0] if inside else 0

    def pages(self) -> Iterator[int]:
        """The offsets of the pages' directories; endless if they form a loop."""
        place = self.first()
        while place:
            yield place
            entries = self.number(self.count, place)
            place = self.number(self.link, place + self.count.size + entries * self.entry.size)

    def entries(self, place: int) -> Iterator[Entry]:
        """The entries of a directory."""
        begin = place + self.count.size
        end = min(begin + self.number(self.count, place) * self.entry.size, len(self.data))
        for at in range(begin, end - self.entry.size + 1, self.entry.size):
            yield self.entry.unpack_from(self.data, at)

    def all_entries(self, places: Iterable[int]) -> Iterator[Entry]:
        """The entries of the directories at these offsets and of those below them, each once."""
        waiting, seen = [*places], set[int]()
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            for entry in self.entries(place):
                yield entry
                if entry[0] in BELOW:
                    waiting.append(self.pointed(entry))

    def excess(self, places: Iterable[int]) -> str | None:
        """Which limit the directories at these offsets and below exceed; None if none."""
        numbers = size = 0
        for entry in self.all_entries(places):
            held = self.held(entry)
            size += held
            numbers += 1 if entry[1] in PLAIN or not held else 1 + entry[2]
            if size > max(len(self.data), SPARE):
                return "tags that hold more than the file"
            if numbers > MOST_NUMBERS:
                return f"tags of more than {MOST_NUMBERS} numbers"
        return None

    def held(self, entry: Entry) -> int:
        """The size of an entry's values in bytes; 0 if they would lie beyond the end."""
        _, kind, count, value = entry
        size = SIZES.get(kind, 0) * count
        is_here = size <= self.link.size
        return size if is_here or self.link.unpack(value)[0] + size <= len(self.data) else 0

    def pointed(self, entry: Entry) -> int:
        """The value of an entry that holds one integer."""
        _, kind, _, value = entry
        size = SIZES.get(kind, 0)
        if size > self.link.size:
            place = self.link.unpack(value)[0]
            value = self.data[place : place + size]
        return int.from_bytes(value[:size], self.order)
