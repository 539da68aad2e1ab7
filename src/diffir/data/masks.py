"""Masks to train and test inpainting with: LaMa's strokes and boxes, and holes as people make them.

A mask is (H, W) uint8, 1 = hole, 0 = known. A kind of hole is numbers and a function `mask`; what
is drawn from several kinds by chance is a `MaskSettings`, a table of which is `MASKS`.
"""

import io
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from diffir.errors import DataError
from diffir.files import write_whole

Mask = NDArray[np.uint8]
"""(H, W), 1 = hole."""
Points = NDArray[np.float64]
"""(N, 2), x and y in pixels."""
Range = tuple[int, int]
"""Lowest and highest value, both possible."""

MOST_TRIES = 200  # before settings are taken to be impossible; the widest published need 6 or so


class Kind(Protocol):
    """One kind of hole."""

    def mask(self, height: int, width: int, draw: np.random.Generator) -> Mask:
        """One mask (height, width)."""


def between(bounds: Range, draw: np.random.Generator) -> int:
    """A whole number of the range, all equally likely."""
    return int(draw.integers(bounds[0], bounds[1] + 1))


def drawn(height: int, width: int, paint: Callable[[ImageDraw.ImageDraw], None]) -> Mask:
    """What `paint` draws with fill 1."""
    canvas = Image.new("L", (width, height))
    paint(ImageDraw.Draw(canvas))
    return np.array(canvas)


def paint_line(canvas: ImageDraw.ImageDraw, points: Points, width: float) -> None:
    """A line through the points with round joints and ends."""
    canvas.line([*map(tuple, points)], fill=1, width=round(width))
    radius = (round(width) - 1) / 2
    for x, y in points if radius >= 1 else ():
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)


@dataclass(frozen=True, kw_only=True)
class Strokes:
    """LaMa's irregular strokes: bent lines of a thick brush."""

    count: Range = (1, 5)
    max_width: int = 100
    max_length: int = 200
    """Of a segment; drawn lengths are 10 + U(max), widths 5 + U(max)."""
    segments: Range = (1, 5)

    def points(self, mirrored: bool, bounds: Range, draw: np.random.Generator) -> Points:
        """The corners of one stroke inside a picture of `bounds` (width, height)."""
        corners = [draw.integers(bounds).astype(np.float64)]
        for _ in range(between(self.segments, draw)):
            angle = 0.01 + draw.integers(4)
            length = 10 + draw.integers(self.max_length)
            step = length * np.array([-np.sin(angle) if mirrored else np.sin(angle), np.cos(angle)])
            corners.append(np.clip(corners[-1] + step, 0, bounds))
        return np.array(corners)

    def mask(self, height: int, width: int, draw: np.random.Generator) -> Mask:
        """All strokes, every other one mirrored."""

        def paint(canvas: ImageDraw.ImageDraw) -> None:
            for index in range(between(self.count, draw)):
                points = self.points(index % 2 == 0, (width, height), draw)
                paint_line(canvas, points, 5 + int(draw.integers(self.max_width)))

        return drawn(height, width, paint)


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """LaMa's boxes; a side that the picture has no room for is drawn from what it has."""

    count: Range = (1, 4)
    size: Range = (30, 150)
    margin: int = 10
    """Pixels at the picture's border that stay known."""

    def span(self, side: int, draw: np.random.Generator) -> slice:
        """Where a box begins and ends along a side of the picture."""
        room = max(side - 2 * self.margin, 1)
        length = between((min(self.size[0], room), min(self.size[1], room)), draw)
        start = (side - room) // 2 + between((0, room - length), draw)
        return slice(start, start + length)

    def mask(self, height: int, width: int, draw: np.random.Generator) -> Mask:
        """All boxes."""
        mask = np.zeros((height, width), np.uint8)
        for _ in range(between(self.count, draw)):
            mask[self.span(height, draw), self.span(width, draw)] = 1
        return mask


@dataclass(frozen=True, kw_only=True)
class Blobs:
    """Round things with a wavy outline, as a segmentation network cuts people and objects out."""

    count: Range = (1, 3)
    radius: tuple[float, float] = (0.06, 0.25)
    """In shares of the picture's shorter side."""
    waves: int = 6

    def outline(self, height: int, width: int, draw: np.random.Generator) -> Points:
        """One closed curve: a stretched and turned circle, its radius a sum of waves."""
        angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
        order = np.arange(1, self.waves + 1)[:, None]
        swing = draw.normal(0, 0.3, order.shape) / order
        ripple = swing * np.sin(order * angle + draw.uniform(0, 2 * np.pi, order.shape))
        radius = draw.uniform(*self.radius) * min(height, width) * np.exp(ripple.sum(axis=0))
        stretch = np.exp(draw.uniform(-0.5, 0.5))
        circle = radius * np.array([np.cos(angle) * stretch, np.sin(angle) / stretch])
        cos, sin = np.cos(turn := draw.uniform(0, np.pi)), np.sin(turn)
        return circle.T @ np.array([[cos, sin], [-sin, cos]]) + draw.uniform(
            (0, 0), (width, height)
        )

    def mask(self, height: int, width: int, draw: np.random.Generator) -> Mask:
        """All blobs."""

        def paint(canvas: ImageDraw.ImageDraw) -> None:
            for _ in range(between(self.count, draw)):
                canvas.polygon([*map(tuple, self.outline(height, width, draw))], fill=1)

        return drawn(height, width, paint)


@dataclass(frozen=True, kw_only=True)
class Borders:
    """Outpainting: strips along one to four sides are to be invented."""

    count: Range = (1, 4)
    share: tuple[float, float] = (0.05, 0.25)
    """Width of a strip, of the picture's side."""

    def mask(self, height: int, width: int, draw: np.random.Generator) -> Mask:
        """All strips."""
        mask = np.zeros((height, width), np.uint8)
        for turns in draw.permutation(4)[: between(self.count, draw)]:
            turned = np.rot90(mask, turns)  # a view: writing into it writes into the mask
            turned[: max(round(draw.uniform(*self.share) * len(turned)), 1)] = 1
        return mask


@dataclass(frozen=True, kw_only=True)
class Text:
    """Words over the picture, as captions, dates and watermarks are, in Pillow's own font."""

    count: Range = (1, 6)
    size: tuple[float, float] = (0.04, 0.16)
    """Of the letters, in shares of the picture's shorter side."""
    max_turn: float = 30.0
    """Degrees."""

    def line(self, height: int, width: int, draw: np.random.Generator) -> Mask:
        """One turned line of random words, its centre nearly anywhere."""
        letters = [*(string.ascii_letters + string.digits + "      ")]
        words = "".join(draw.choice(letters, between((4, 20), draw))).strip() or "x"
        size = max(draw.uniform(*self.size) * min(height, width), 4)
        place = draw.uniform((0.2, 0.1), (0.8, 0.9)) * (width, height)
        canvas = Image.new("L", (width, height))
        font = ImageFont.load_default(size)
        ImageDraw.Draw(canvas).text(tuple(place), words, fill=255, font=font, anchor="mm")
        turn = draw.uniform(-self.max_turn, self.max_turn)
        turned = canvas.rotate(turn, Image.Resampling.BILINEAR, center=tuple(place))
        # From 1/4 coverage on, so that no half-covered edge of a letter counts as known.
        return (np.array(turned) >= 64).astype(np.uint8)

    def mask(self, height: int, width: int, draw: np.random.Generator) -> Mask:
        """All lines."""
        lines = [self.line(height, width, draw) for _ in range(between(self.count, draw))]
        return np.maximum.reduce(lines)


@dataclass(frozen=True, kw_only=True)
class Scratches:
    """Long thin lines that wander a little, as on old prints and films."""

    count: Range = (1, 12)
    width: Range = (1, 4)
    wander: float = 0.04
    """How far the direction turns at each of the steps, in radians."""

    def points(self, height: int, width: int, draw: np.random.Generator) -> Points:
        """One line of 5 to 100 % of the picture's longer side, from anywhere."""
        length = draw.uniform(0.05, 1) * max(height, width)
        turns = draw.normal(0, self.wander, 60)
        angle = draw.uniform(0, 2 * np.pi) + turns.cumsum()
        steps = np.stack([np.cos(angle), np.sin(angle)], axis=1) * length / len(angle)
        return draw.uniform((0, 0), (width, height)) + steps.cumsum(axis=0)

    def mask(self, height: int, width: int, draw: np.random.Generator) -> Mask:
        """All scratches."""

        def paint(canvas: ImageDraw.ImageDraw) -> None:
            for _ in range(between(self.count, draw)):
                points = self.points(height, width, draw)
                paint_line(canvas, points, between(self.width, draw))

        return drawn(height, width, paint)


@dataclass(frozen=True, kw_only=True)
class MaskSettings:
    """Which kinds of holes are drawn, one kind a mask."""

    kinds: tuple[tuple[Kind, float], ...]
    """Each with its odds against the others."""
    max_share: float = 1.0
    """Masks with more hole than this are drawn anew."""


TRAINING = MaskSettings(kinds=((Strokes(), 1), (Boxes(), 1)))

WIDE_256 = MaskSettings(kinds=((Strokes(), 1), (Boxes(count=(1, 3)), 0.3)), max_share=0.5)
MEDIUM_256 = replace(
    WIDE_256,
    kinds=(
        (Strokes(count=(4, 5), max_width=50, max_length=100), 1),
        (Boxes(count=(1, 5), size=(10, 50), margin=0), 0.3),
    ),
)
NARROW_256 = replace(WIDE_256, kinds=((Strokes(count=(4, 50), max_width=10, max_length=40), 1),))

WIDE_512 = replace(
    WIDE_256,
    kinds=((Strokes(max_width=250, max_length=450), 1), (Boxes(size=(30, 300)), 0.3)),
)
MEDIUM_512 = replace(
    WIDE_256,
    kinds=((Strokes(count=(4, 10)), 1), (Boxes(count=(1, 5), margin=0), 0.3)),
)
NARROW_512 = replace(WIDE_256, kinds=((Strokes(count=(4, 70), max_width=20, max_length=100), 1),))

EVERYDAY = MaskSettings(
    kinds=(*TRAINING.kinds, *((kind(), 1) for kind in (Blobs, Borders, Text, Scratches)))
)
"""Not LaMa's: the holes that people have, beside those of the paper."""

MASKS = {
    "training": TRAINING,
    "narrow-256": NARROW_256,
    "medium-256": MEDIUM_256,
    "wide-256": WIDE_256,
    "narrow-512": NARROW_512,
    "medium-512": MEDIUM_512,
    "wide-512": WIDE_512,
    "everyday": EVERYDAY,
}


def random_mask(height: int, width: int, settings: MaskSettings, draw: np.random.Generator) -> Mask:
    """One mask (height, width) with a hole, of one of the kinds.

    Raises:
        DataError: when the settings make holes that are too large for a picture of this size.
    """
    odds = np.array([odds for _, odds in settings.kinds])
    for _ in range(MOST_TRIES):
        kind, _ = settings.kinds[draw.choice(len(odds), p=odds / odds.sum())]
        mask = kind.mask(height, width, draw)
        if 0 < mask.mean() <= settings.max_share:
            return mask
    raise DataError(
        f"none of {MOST_TRIES} masks of {height} × {width} pixels had at most "
        f"{settings.max_share:.0%} hole; give a larger picture or settings with smaller holes"
    )


def mask_set(
    count: int, height: int, width: int, settings: MaskSettings, seed: Sequence[int]
) -> list[Mask]:
    """The test set of `seed`, always the same; mask i draws from (*seed, i)."""
    return [
        random_mask(height, width, settings, np.random.default_rng([*seed, index]))
        for index in range(count)
    ]


def write_masks(masks: Iterable[Mask], folder: Path) -> list[Path]:
    """Write masks as 00000.png and so on, white = hole."""
    files = []
    for index, mask in enumerate(masks):
        data = io.BytesIO()
        Image.fromarray(mask * np.uint8(255)).save(data, format="PNG")
        files.append(folder / f"{index:05d}.png")
        write_whole(data.getvalue(), files[-1])
    return files


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How much of the pictures is hole, in shares from 0 to 1."""

    mean: float
    min: float
    max: float
    histogram: tuple[int, ...]
    """Masks in each of equally wide ranges of the share, from 0 up to 1."""


def coverage(masks: Iterable[Mask], bins: int = 10) -> Coverage:
    """The statistics of a set of masks; at least one is wanted."""
    shares = np.array([mask.mean() for mask in masks])
    counts, _ = np.histogram(shares, bins=bins, range=(0, 1))
    return Coverage(
        mean=float(shares.mean()),
        min=float(shares.min()),
        max=float(shares.max()),
        histogram=tuple(counts.tolist()),
    )
