"""Sources of crops: pictures in files and shards, with or without LQ; synthetic ones; mixtures.

A source makes a crop from a generator, and the crop depends only on the generator.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from diffir.errors import DataError, PictureError

from .crops import CropSize, Sample, window
from .entries import Entry, File
from .pixels import Pixels
from .settings import place_by
from .synthetic import DeadLeaves, dead_leaves

OnBad = Literal["skip", "stop"]
"""Whether an unusable picture is left out and counted, or ends the run."""

MOST_TRIES = 100  # consecutive pictures that can't be decoded before even `skip` gives up
CACHE_BYTES = 1_000_000_000
PALETTE = CropSize(lq=64, scale=1)
"""The crop of a photo that a synthetic picture takes its colours from."""


class Source(Protocol):
    """Something to draw crops from."""

    @property
    def skipped(self) -> dict[str, str]:
        """By name of each picture that was left out, a sentence that says why."""

    def sample(self, size: CropSize, draw: np.random.Generator) -> Sample:
        """A crop. Raises DataError if there is none."""

    def require(self, size: CropSize) -> None:
        """Raise DataError if no picture is large enough for crops of this size."""

    def has_pairs(self) -> bool:
        """Whether pictures come with an LQ."""

    def describe(self) -> dict[str, int | str]:
        """A description for the run's record."""


class PixelCache:
    """The most recently used decoded pictures, up to `limit` bytes; one cache per worker."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self.limit, self.held = limit, 0
        self.pictures: OrderedDict[File, Pixels] = OrderedDict()

    def pixels(self, file: File) -> Pixels:
        """The decoded picture. Raises PictureError."""
        if file in self.pictures:
            self.pictures.move_to_end(file)
            return self.pictures[file]
        found = file.pixels()
        self.pictures[file] = found
        self.held += found.nbytes
        while self.held > self.limit and len(self.pictures) > 1:
            self.held -= self.pictures.popitem(last=False)[1].nbytes
        return found


class Pictures:
    """Pictures in files or shards. Every pixel of those that are large enough is equally likely.

    Raises:
        DataError: when there is no picture, or one is bad and `on_bad` is `stop`.
    """

    def __init__(
        self, entries: Sequence[Entry], skipped: dict[str, str], *, scale: int, on_bad: OnBad
    ) -> None:
        self.entries, self.skipped, self.scale, self.on_bad = entries, skipped, scale, on_bad
        self.cache = PixelCache()
        self.shares: dict[int, NDArray[np.float64]] = {}
        if skipped and on_bad == "stop":
            raise DataError(one_of(skipped))
        if not entries:
            raise DataError(one_of(skipped) if skipped else "no pictures found; give some")

    def require(self, size: CropSize) -> None:
        """Raise DataError if all pictures, or with `stop` any, are smaller than the crop."""
        small = [e for e in self.entries if min(e.height, e.width) // self.scale < size.lq]
        sentences = {
            entry.gt.name: f"{entry.gt.name} is {entry.width}×{entry.height}, smaller than the "
            f"crop of {size.gt} pixels"
            for entry in small
        }
        if sentences and self.on_bad == "stop":
            raise DataError(f"{one_of(sentences)}; remove it, or skip bad pictures")
        if len(small) == len(self.entries):
            raise DataError(
                f"no training picture is as large as the crop of {size.gt} pixels; "
                f"give larger pictures or a smaller lq_size"
            )
        self.skipped.update(sentences)

    def drawn(self, size: CropSize, draw: np.random.Generator) -> Entry:
        """A picture at least as large as the crop, drawn in proportion to its area."""
        if size.lq not in self.shares:
            areas = [
                e.height * e.width * (min(e.height, e.width) // self.scale >= size.lq)
                for e in self.entries
            ]
            self.shares[size.lq] = np.cumsum(np.array(areas, dtype=np.float64))
        return self.entries[place_by(self.shares[size.lq], draw)]

    def sample(self, size: CropSize, draw: np.random.Generator) -> Sample:
        """A crop of a picture, aligned to LQ's pixels."""
        last = ""
        for _ in range(MOST_TRIES):
            entry = self.drawn(size, draw)
            try:
                return self.crop(entry, size, draw)
            except PictureError as error:
                if self.on_bad == "stop":
                    raise DataError(str(error)) from error
                self.skipped[entry.gt.name] = last = str(error)
        raise DataError(f"{MOST_TRIES} pictures in a row can't be read, the last: {last}")

    def crop(self, entry: Entry, size: CropSize, draw: np.random.Generator) -> Sample:
        """A crop of this picture. Raises PictureError if it can't be read."""
        scale, name = self.scale, entry.gt.name
        sides = entry.height // scale, entry.width // scale
        top, left = (int(draw.integers(side - size.lq + 1)) for side in sides)
        gt = self.cache.pixels(entry.gt)[: sides[0] * scale, : sides[1] * scale]
        if entry.lq is None:
            first_row, first_column = top * scale - size.margin, left * scale - size.margin
            length = size.gt + 2 * size.margin
            return Sample(window(gt, first_row, first_column, length, length), None, name)
        lq = window(self.cache.pixels(entry.lq), top, left, size.lq, size.lq)
        return Sample(window(gt, top * scale, left * scale, size.gt, size.gt), lq, name)

    def has_pairs(self) -> bool:
        """Whether any picture has an LQ."""
        return any(entry.lq is not None for entry in self.entries)

    def describe(self) -> dict[str, int | str]:
        """The numbers of pictures, pairs and pixels, and a hash of names and sizes."""
        digest = hashlib.sha256()
        for entry in self.entries:
            line = f"{entry.gt.label} {entry.height} {entry.width}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return {
            "pictures": len(self.entries),
            "pairs": sum(entry.lq is not None for entry in self.entries),
            "pixels": sum(entry.height * entry.width for entry in self.entries),
            "fingerprint": digest.hexdigest()[:16],
        }


class Synthetic:
    """Dead leaves: synthetic pictures, a new one for each crop.

    Their colours are random, or those of a crop of `colours`.
    """

    def __init__(self, settings: DeadLeaves, colours: Source | None = None) -> None:
        self.settings, self.colours = settings, colours

    @property
    def skipped(self) -> dict[str, str]:
        """Photos that were unusable for colours."""
        return self.colours.skipped if self.colours else {}

    def require(self, size: CropSize) -> None:
        """Raise DataError if no photo is large enough to take colours from."""
        if self.colours:
            self.colours.require(PALETTE)

    def sample(self, size: CropSize, draw: np.random.Generator) -> Sample:
        """A picture of the crop's size plus its margin."""
        side = size.gt + 2 * size.margin
        palette = self.colours.sample(PALETTE, draw).gt.reshape(-1, 3) if self.colours else None
        return Sample(dead_leaves(side, side, self.settings, draw, palette), None, "dead leaves")

    def has_pairs(self) -> bool:
        """No."""
        return False

    def describe(self) -> dict[str, int | str]:
        """Its kind, and the source of its colours."""
        colours = (
            {f"colours: {k}": v for k, v in self.colours.describe().items()} if self.colours else {}
        )
        return {"synthetic": "dead leaves", **colours}


class Mixture:
    """Several sources, drawn by their weights."""

    def __init__(self, sources: Sequence[Source], weights: Sequence[float]) -> None:
        self.sources = sources
        self.ends = np.cumsum(weights, dtype=np.float64)

    @property
    def skipped(self) -> dict[str, str]:
        """The pictures that any source left out."""
        return {name: text for source in self.sources for name, text in source.skipped.items()}

    def require(self, size: CropSize) -> None:
        """Raise DataError if any source has no such crop."""
        for source in self.sources:
            source.require(size)

    def sample(self, size: CropSize, draw: np.random.Generator) -> Sample:
        """A crop of one of them."""
        return self.sources[place_by(self.ends, draw)].sample(size, draw)

    def has_pairs(self) -> bool:
        """Whether any source has pairs."""
        return any(source.has_pairs() for source in self.sources)

    def describe(self) -> dict[str, int | str]:
        """The descriptions of its sources, numbered."""
        return {
            f"{key} of {number}": value
            for number, source in enumerate(self.sources, 1)
            for key, value in source.describe().items()
        }


def one_of(sentences: dict[str, str]) -> str:
    """The first of some sentences, and the number of the others."""
    first, *more = sentences.values()
    return f"{first} (and {len(more)} more)" if more else first
