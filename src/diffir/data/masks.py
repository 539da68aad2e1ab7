"""Masks for training and testing inpainting: LaMa's strokes and boxes, and everyday kinds of holes.

A mask is (H, W) uint8, 1 = hole, 0 = known. A kind of hole is numbers and a function `mask`; a
`MaskSettings` is a random mixture of kinds, and `MASKS` names some. `Holes` is the degradation that
makes training pairs with them.
"""

import math
import string
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydantic import BeforeValidator, Field
from torch import Tensor

from diffir.errors import DataError
from diffir.files import write_whole
from diffir.tasks import Inpainting

from .batch import Batch
from .draws import Draws, generator, note
from .pixels import png_of
from .settings import CountSpan, NotNegative, NotNegativeSpan, Probability, Values, named

Mask = NDArray[np.uint8]
"""(H, W), 1 = hole."""
Points = NDArray[np.float64]
"""(N, 2), x and y in pixels."""

MOST_TRIES = 200  # before settings count as impossible; the widest published ones need about 6
BINS = 10  # of the histogram of coverage
STREAM = "masks"


def between(bounds: tuple[int, int], draw: np.random.Generator) -> int:
    """An integer from the range, ends included, all equally likely."""
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


class Strokes(Values):
    """LaMa's irregular strokes: polylines of a thick brush, each segment with its own width."""

    kind: Literal["strokes"] = "strokes"
    count: CountSpan = (1, 5)
    """As in LaMa's settings; its code draws up to one more."""
    max_width: int = Field(default=100, ge=1)
    max_length: int = Field(default=200, ge=1)
    """Of a segment; lengths are 10 + U(max), widths 5 + U(max)."""
    segments: CountSpan = (1, 5)

    def points(self, mirrored: bool, bounds: tuple[int, int], draw: np.random.Generator) -> Points:
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
            fewest, most = self.count
            for index in range(between((fewest, most + 1), draw)):
                points = self.points(index % 2 == 0, (width, height), draw)
                for ends in pairwise(points):
                    thickness = 5 + int(draw.integers(self.max_width))
                    # cv2.line, which LaMa uses, covers 11 pixels at thickness 9 and 10
                    paint_line(canvas, np.array(ends), 2 * math.ceil(thickness / 2) + 1)

        return drawn(height, width, paint)


class Boxes(Values):
    """LaMa's boxes; the range of a side is limited to what fits into the picture."""

    kind: Literal["boxes"] = "boxes"
    count: CountSpan = (1, 4)
    size: CountSpan = (30, 150)
    margin: int = Field(default=10, ge=0)
    """Pixels at the picture's border that are always known."""

    def span(self, side: int, draw: np.random.Generator) -> slice:
        """The extent of a box along a side of the picture."""
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


class Blobs(Values):
    """Round shapes with a wavy outline, like people and objects cut out by segmentation."""

    kind: Literal["blobs"] = "blobs"
    count: CountSpan = (1, 3)
    radius: NotNegativeSpan = (0.06, 0.25)
    """As a fraction of the picture's shorter side."""
    waves: int = Field(default=6, ge=0)

    def outline(self, height: int, width: int, draw: np.random.Generator) -> Points:
        """One closed curve: a stretched and rotated circle whose radius is a sum of waves."""
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


class Borders(Values):
    """Outpainting: strips along one to four sides."""

    kind: Literal["borders"] = "borders"
    count: CountSpan = (1, 4)
    share: NotNegativeSpan = (0.05, 0.25)
    """Width of a strip, as a fraction of the picture's side."""

    def mask(self, height: int, width: int, draw: np.random.Generator) -> Mask:
        """All strips."""
        mask = np.zeros((height, width), np.uint8)
        for turns in draw.permutation(4)[: between(self.count, draw)]:
            turned = np.rot90(mask, turns)  # a view: writing into it writes into the mask
            turned[: max(round(draw.uniform(*self.share) * len(turned)), 1)] = 1
        return mask


class Text(Values):
    """Text over the picture, like captions, dates and watermarks, in Pillow's own font."""

    kind: Literal["text"] = "text"
    count: CountSpan = (1, 6)
    size: NotNegativeSpan = (0.04, 0.16)
    """Of the letters, as a fraction of the picture's shorter side."""
    max_turn: NotNegative = 30
    """Degrees."""

    def line(self, height: int, width: int, draw: np.random.Generator) -> Mask:
        """One rotated line of random words, its centre nearly anywhere."""
        letters = [*(string.ascii_letters + string.digits + "      ")]
        words = "".join(draw.choice(letters, between((4, 20), draw))).strip() or "x"
        size = max(draw.uniform(*self.size) * min(height, width), 4)
        place = draw.uniform((0.2, 0.1), (0.8, 0.9)) * (width, height)
        canvas = Image.new("L", (width, height))
        font = ImageFont.load_default(size)
        ImageDraw.Draw(canvas).text(tuple(place), words, fill=255, font=font, anchor="mm")
        turn = draw.uniform(-self.max_turn, self.max_turn)
        turned = canvas.rotate(turn, Image.Resampling.BILINEAR, center=tuple(place))
        # From 1/4 coverage on, so that half-covered edges of letters do not count as known
        return (np.array(turned) >= 64).astype(np.uint8)

    def mask(self, height: int, width: int, draw: np.random.Generator) -> Mask:
        """All lines."""
        lines = [self.line(height, width, draw) for _ in range(between(self.count, draw))]
        return np.maximum.reduce(lines)


class Scratches(Values):
    """Long thin lines that bend a little, as on old prints and films."""

    kind: Literal["scratches"] = "scratches"
    count: CountSpan = (1, 12)
    width: CountSpan = (1, 4)
    wander: NotNegative = 0.04
    """Standard deviation of the change of direction at each step, in radians."""

    def points(self, height: int, width: int, draw: np.random.Generator) -> Points:
        """One line, 5 to 100 % of the picture's longer side, starting anywhere."""
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


Kind: TypeAlias = Strokes | Boxes | Blobs | Borders | Text | Scratches
Odds = Annotated[float, Field(gt=0)]


class MaskSettings(Values):
    """Which kinds of holes are drawn, one kind per mask."""

    kinds: tuple[tuple[Annotated[Kind, Field(discriminator="kind")], Odds], ...] = Field(
        min_length=1
    )
    """Each with its odds."""
    max_share: Probability = 1
    """Masks with a larger share of hole are drawn again."""


TRAINING = MaskSettings(kinds=((Strokes(), 1), (Boxes(), 1)))

WIDE_256 = MaskSettings(kinds=((Strokes(), 1), (Boxes(count=(1, 3)), 0.3)), max_share=0.5)
MEDIUM_256 = MaskSettings(
    kinds=(
        (Strokes(count=(4, 5), max_width=50, max_length=100), 1),
        (Boxes(count=(1, 5), size=(10, 50), margin=0), 0.3),
    ),
    max_share=0.5,
)
NARROW_256 = MaskSettings(
    kinds=((Strokes(count=(4, 50), max_width=10, max_length=40), 1),), max_share=0.5
)
WIDE_512 = MaskSettings(
    kinds=((Strokes(max_width=250, max_length=450), 1), (Boxes(size=(30, 300)), 0.3)),
    max_share=0.5,
)
MEDIUM_512 = MaskSettings(
    kinds=((Strokes(count=(4, 10)), 1), (Boxes(count=(1, 5), margin=0), 0.3)), max_share=0.5
)
NARROW_512 = MaskSettings(
    kinds=((Strokes(count=(4, 70), max_width=20, max_length=100), 1),), max_share=0.5
)

EVERYDAY = MaskSettings(
    kinds=(*TRAINING.kinds, *((kind, 1) for kind in (Blobs(), Borders(), Text(), Scratches()))),
    max_share=0.5,
)
"""Not LaMa's: common kinds of holes in addition to those of the paper."""

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
        DataError: when holes of these settings are too large for a picture of this size.
    """
    odds = np.array([odds for _, odds in settings.kinds])
    for _ in range(MOST_TRIES):
        kind, _ = settings.kinds[draw.choice(len(odds), p=odds / odds.sum())]
        mask = kind.mask(height, width, draw)
        if 0 < mask.mean() <= settings.max_share:
            note(draw, hole=kind.kind, hole_share=float(mask.mean()))
            return mask
    raise DataError(
        f"none of {MOST_TRIES} masks of {height} × {width} pixels had at most "
        f"{settings.max_share:.0%} hole; give a larger picture or settings with smaller holes"
    )


def mask_set(
    count: int, height: int, width: int, settings: MaskSettings, seed: tuple[int, ...]
) -> Iterator[Mask]:
    """The reproducible test set of `seed`; mask i does not depend on `count`."""
    for index in range(count):
        yield random_mask(height, width, settings, generator(seed, STREAM, index))


class Holes(Values):
    """Pictures with holes, to train inpainting."""

    on_device: ClassVar = False  # masks are drawn on the CPU

    kind: Literal["holes"] = "holes"
    masks: Annotated[MaskSettings, BeforeValidator(named(MASKS))] = TRAINING
    """Settings, or their name."""

    def margin(self, scale: int) -> int:
        """0: pixels outside the crop do not matter."""
        return 0

    def batch(self, gt: Tensor, scale: int, draws: Draws) -> Batch:
        """Pairs of GT (B, 3, H, W), each picture with its own mask."""
        own = draws.own(STREAM)
        masks = [random_mask(gt.shape[2], gt.shape[3], self.masks, draw) for draw in own]
        mask = torch.from_numpy(np.stack(masks)[:, None]).to(gt)
        lq = Inpainting().network_input(gt, mask)
        return Batch(lq=lq, gt=gt, mask=mask, facts=tuple(draw.facts for draw in own))


def write_masks(masks: Iterable[Mask], folder: Path) -> list[Path]:
    """Write masks as 00000.png and so on, white = hole."""
    files = []
    for index, mask in enumerate(masks):
        files.append(folder / f"{index:05d}.png")
        write_whole(png_of(mask * np.uint8(255)), files[-1])
    return files


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The share of hole in a set of masks, from 0 to 1."""

    mean: float
    min: float
    max: float
    histogram: tuple[int, ...]
    """Number of masks in each of `BINS` equal ranges of the share, from 0 to 1."""


def coverage(masks: Iterable[Mask]) -> Coverage:
    """The coverage of at least one mask."""
    shares = np.array([mask.mean() for mask in masks])
    counts, _ = np.histogram(shares, bins=BINS, range=(0, 1))
    return Coverage(
        mean=float(shares.mean()),
        min=float(shares.min()),
        max=float(shares.max()),
        histogram=tuple(counts.tolist()),
    )
