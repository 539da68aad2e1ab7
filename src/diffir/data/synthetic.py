"""Synthetic pictures to train on without photos: dead leaves, which have natural statistics.

Shapes whose sizes follow a power law occlude each other, like objects in front of others. Colours
come from a palette; textures from a bank of noises and stripes, which every leaf shows rotated,
magnified and tilted in its own way. After Lee, Mumford & Huang, "Occlusion models for natural
images", and Achddou et al., "Synthetic images as a regularity prior for image restoration neural
networks".

n leaves, P corners of an outline, H × W positions of the drawing grid, finer than the picture.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from pydantic import AfterValidator, Field

from .pixels import Pixels
from .settings import NotNegative, NotNegativeSpan, Positive, Probability, Span, Values, drawable

Floats: TypeAlias = NDArray[np.floating[Any]]
Labels: TypeAlias = NDArray[np.int32]
"""(H, W), the leaf visible at a position, 0 = the ground behind all leaves."""
Shape = Literal["blob", "ellipse", "polygon", "rectangle", "line"]

TILE = 256  # side of a periodic texture; a power of two, so that a bit mask wraps positions
NOISES, SPOTS, STRIPES = 24, 6, 16  # textures in the bank; spots are some of the noises
ROUND_CORNERS = 40  # of a round outline
PALETTE = 256  # colours of a random palette
COLOUR_AXES = np.array([[1, 1, 1], [0.7, 0.1, -1.1], [1, -0.6, 0.2]])
"""RGB of brightness, yellow–blue and red–green, which vary independently in photos."""


class DeadLeaves(Values):
    """The distribution of pictures. Lengths in pixels, brightness relative to the leaf's."""

    exponent: Positive = 3
    """Radii have the density r^−exponent; at 3, pictures are scale-invariant."""
    smallest: Span = (1, 12)
    """Radius of a picture's smallest leaves, log-uniform: how busy the picture is."""
    largest: Positive = 160
    """Radius of the largest leaves."""
    cover: Span = (0.8, 4)
    """Mean number of leaves that cover a point."""
    densest: Positive = 0.15
    """Largest number of leaves per pixel, to limit the time."""
    shapes: Annotated[dict[Shape, NotNegative], AfterValidator(drawable)] = {
        "blob": 0.35,
        "ellipse": 0.15,
        "polygon": 0.2,
        "rectangle": 0.2,
        "line": 0.1,
    }
    """Odds."""
    waves: NotNegative = 0.25
    """How wavy the outline of a blob is."""
    stretch: Span = (1, 4)
    """Length over width, of all shapes but lines."""
    line_stretch: Span = (10, 80)
    """Length over width of lines."""
    textured: Probability = 0.85
    """Share of leaves with a texture."""
    contrast: NotNegative = 0.4
    """Standard deviation of the strongest texture."""
    striped: Probability = 0.2
    """Share of textures that are stripes; the others are noise."""
    noise_slope: NotNegativeSpan = (0.5, 3)
    """β of noise with the power spectrum 1 / f^β."""
    grain: Span = (1, 8)
    """Length over width of the noise's structures."""
    period: Span = (5, 40)
    """Of stripes, before they are magnified."""
    magnification: Span = (0.5, 2)
    """Of a texture on a leaf."""
    tilt: NotNegative = 0.4
    """Largest change of magnification over a leaf's radius, as in perspective."""
    shading: NotNegative = 0.3
    """Largest change of brightness from a leaf's middle to its end."""
    lighting: NotNegative = 0.4
    """The same for the whole picture."""
    relief: NotNegative = 0.3
    """Largest strength of shadows on leaves below, and of bright edges towards the light."""
    relief_width: Span = (0.5, 4)
    """Of shadows and bright edges."""
    deep: Probability = 0.3
    """Share of pictures with leaves in focus in front of a background out of focus."""
    background_blur: Span = (0.7, 3)
    """σ of a background out of focus."""
    soft: Probability = 0.5
    """Share of pictures that are blurred as a whole."""
    blur: Span = (0.3, 0.9)
    """σ of a picture blurred as a whole."""
    finer: int = Field(default=2, ge=1, le=4)
    """Supersampling factor of the drawing grid, which antialiases edges."""


def log_uniform(span: tuple[float, float], draw: Generator, count: int = 1) -> Floats:
    """Log-uniform numbers (count,)."""
    low, high = np.log(span).tolist()
    return np.exp(draw.uniform(low, high, count))


def random_palette(draw: Generator) -> Pixels:
    """Colours (256, 3) like those of one photo: a few hues that differ mostly in brightness."""
    hues = int(draw.integers(2, 9))
    colourful = draw.uniform(0.1, 1.2)
    light = draw.normal(draw.uniform(0.25, 0.6), draw.uniform(0.1, 0.3), hues)
    yellow = draw.normal(draw.normal(0.03, 0.05), 0.1 * colourful, hues)
    red = draw.normal(0.01, 0.05 * colourful, hues)
    centres = np.stack([light, yellow, red], axis=1) @ COLOUR_AXES  # (hues, 3)
    colours = centres[draw.integers(hues, size=PALETTE)] + draw.normal(0, 0.06, (PALETTE, 1))
    return np.clip(np.round(colours * 255), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Leaves:
    """Positions and sizes of n leaves on the grid, the farthest first."""

    radius: Floats
    """(n,)"""
    centre: Floats
    """x and y, (n, 2)."""


def radii(height: int, width: int, settings: DeadLeaves, draw: Generator) -> Floats:
    """Radii (n,) of as many leaves as are needed to cover a picture.

    Large leaves reach into it from farther away, so more of them are drawn than by the power law at
    a single point.
    """
    smallest = min(float(log_uniform(settings.smallest, draw)[0]), settings.largest)
    radius = np.geomspace(smallest, settings.largest, 200)
    density = radius ** (1 - settings.exponent)  # per log r
    reaching = density * (height + 2 * radius) * (width + 2 * radius)
    cover = log_uniform(settings.cover, draw)[0]
    count = cover * reaching.sum() / (density * np.pi * radius**2).sum()
    count = max(1, int(min(count, settings.densest * height * width)))
    return np.interp(draw.random(count), np.cumsum(reaching) / reaching.sum(), radius)


def scattered(height: int, width: int, settings: DeadLeaves, draw: Generator) -> Leaves:
    """Leaves all over a picture, in front of the ground, which is leaf 0."""
    radius = radii(height, width, settings, draw)
    centre = draw.uniform(-radius, np.stack([width + radius, height + radius])).T
    ground = np.array([[width / 2, height / 2]])
    return Leaves(
        np.append(max(height, width), radius).astype(np.float32) * settings.finer,
        np.concatenate([ground, centre]).astype(np.float32) * settings.finer,
    )


def unit_outlines(shape: Shape, count: int, settings: DeadLeaves, draw: Generator) -> Floats:
    """Outlines (n, P, 2) about the origin, with about the area of a square of side 2."""
    if shape in ("rectangle", "line"):
        square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
        return np.broadcast_to(square, (count, 4, 2))
    if shape == "polygon":
        corners = int(draw.integers(3, 8))
        angle = np.sort(draw.uniform(0, 2 * np.pi, (count, corners)), axis=1)
        radius = draw.uniform(0.8, 1.6, (count, corners))
    else:
        angle = np.linspace(0, 2 * np.pi, ROUND_CORNERS, endpoint=False)[None]
        order = np.arange(1, 7)[:, None]
        waves = np.concatenate([np.sin(order * angle) / order, np.cos(order * angle) / order])
        swing = draw.normal(0, settings.waves if shape == "blob" else 0, (count, len(waves)))
        radius = 1.13 * np.exp(swing @ waves)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def outlines(leaves: Leaves, settings: DeadLeaves, draw: Generator) -> list[list[float]]:
    """The corners x, y, x, y … of every leaf except the ground."""
    names: list[Shape] = list(settings.shapes)
    odds = np.array([settings.shapes[name] for name in names])
    kind = draw.choice(len(names), size=len(leaves.radius), p=odds / odds.sum())
    kind[0] = -1  # the ground has no outline
    found: list[list[float]] = [[] for _ in kind]
    for index, name in enumerate(names):
        (which,) = np.nonzero(kind == index)
        count = len(which)
        span = settings.line_stretch if name == "line" else settings.stretch
        longer = np.sqrt(log_uniform(span, draw, count))
        size = leaves.radius[which, None] * np.stack([longer, 1 / longer], axis=1)
        points = unit_outlines(name, count, settings, draw) * size[:, None]
        cos, sin = directions(np.ones(count), draw)
        points = points @ np.stack([cos, sin, -sin, cos], axis=1).reshape(count, 2, 2)
        placed = np.rint(points + leaves.centre[which, None])
        for leaf, corners in zip(which, placed.reshape(count, 2 * placed.shape[1]), strict=True):
            found[leaf] = corners.tolist()
    return found[1:]


def painted(height: int, width: int, shapes: Iterable[list[float]]) -> Labels:
    """Leaves 1, 2 … painted over each other; (H, W)."""
    canvas = Image.new("I", (width, height))
    paint = ImageDraw.Draw(canvas)
    for leaf, corners in enumerate(shapes, start=1):
        paint.polygon(corners, fill=leaf)
    return np.array(canvas)


def standard(field: Floats) -> Floats:
    """The texture with mean 0 and standard deviation 1."""
    return (field - field.mean()) / field.std()


def noise(slope: float, grain: float, draw: Generator) -> Floats:
    """Noise (TILE, TILE) with the power spectrum 1 / f^slope."""
    across, along = np.fft.rfftfreq(TILE), np.fft.fftfreq(TILE)[:, None]
    frequency = np.sqrt(across**2 / grain + along**2 * grain)
    frequency[0, 0] = np.inf  # no mean
    spectrum = np.fft.rfft2(draw.normal(size=(TILE, TILE))) * frequency ** (-slope / 2)
    return standard(np.fft.irfft2(spectrum, s=(TILE, TILE)))


def stripes(period: float, draw: Generator) -> Floats:
    """Stripes or checks (TILE, TILE), straight or curved, soft or sharp, thin or wide."""
    phase = np.arange(TILE) * (2 * np.pi * max(round(TILE / period), 1) / TILE)
    bend = draw.choice([0, 0.5, 2]) * noise(4, 1, draw)
    wave = np.sin(phase + bend)
    if draw.random() < 0.4:
        wave = np.minimum(wave, np.sin(draw.choice([1, 2]) * phase[:, None] + bend))
    return standard(np.clip((wave - draw.uniform(-0.7, 0.7)) * draw.choice([1, 4]), -1, 1))


@lru_cache(maxsize=4)
def textures(
    slope: tuple[float, float], grain: tuple[float, float], period: tuple[float, float]
) -> Floats:
    """The bank (NOISES + STRIPES, TILE, TILE), deterministic.

    Cached: making noise for every picture would take longer than all the rest.
    """
    draw = np.random.default_rng(0)
    grains = log_uniform(grain, draw, NOISES)
    noises = [noise(draw.uniform(*slope), g, draw) for g in grains]
    spots = [
        standard(np.clip(3 * noise(draw.uniform(*slope), g, draw), -1, 1)) for g in grains[:SPOTS]
    ]
    waves = [stripes(p, draw) for p in log_uniform(period, draw, STRIPES)]
    return np.stack([*noises[SPOTS:], *spots, *waves]).astype(np.float32)


def directions(size: Floats, draw: Generator) -> Floats:
    """Vectors (2, n) with lengths (n,) in random directions."""
    angle = draw.uniform(0, 2 * np.pi, len(size))
    return size * np.stack([np.cos(angle), np.sin(angle)])


def slopes(labels: Labels, leaves: Leaves, slope: Floats) -> Floats:
    """Heights (H, W) of planes that are 0 at the leaves' centres and have the gradients (2, n)."""
    start = -(slope * leaves.centre.T).sum(axis=0)
    planes = np.stack([*slope, start]).astype(np.float32)
    across, down, start = np.take(planes, labels, axis=1)
    x = np.arange(labels.shape[1], dtype=np.float32)
    y = np.arange(labels.shape[0], dtype=np.float32)[:, None]
    return across * x + down * y + start


def pattern(labels: Labels, leaves: Leaves, settings: DeadLeaves, draw: Generator) -> Floats:
    """The textures (H, W) of the visible leaves, with standard deviation 1."""
    count = len(leaves.radius)
    bank = textures(settings.noise_slope, settings.grain, settings.period)
    striped = draw.random(count) < settings.striped
    noisy = draw.integers(NOISES, size=count)
    which = np.where(striped, NOISES + draw.integers(STRIPES, size=count), noisy)
    step = 1 / (log_uniform(settings.magnification, draw, count) * settings.finer)
    along = directions(step, draw)
    tilt = directions(draw.uniform(0, settings.tilt, count) / leaves.radius, draw)
    nearness = 1 / np.maximum(1 + slopes(labels, leaves, tilt), 0.4)
    places = []
    for slope in (along, np.stack([-along[1], along[0]])):
        start = draw.integers(TILE, size=count).astype(np.float32)
        place = slopes(labels, leaves, slope) * nearness + start[labels]
        places.append(place.astype(np.int32) & (TILE - 1))
    across, down = places
    return bank.reshape(-1)[which[labels] * TILE**2 + down * TILE + across]


def coloured(
    labels: Labels, leaves: Leaves, settings: DeadLeaves, draw: Generator, palette: Pixels
) -> Floats:
    """Leaves with their colours, textures and shading, (3, H, W) about [0, 1]."""
    count = len(leaves.radius)
    places = draw.integers(len(palette), size=(2, count))
    colour, other = palette[places].astype(np.float32) / 255  # (n, 3)
    strength = settings.contrast * draw.random(count) ** 2
    strength *= draw.random(count) < settings.textured
    mixing = draw.uniform(0, 0.5, (count, 1))
    swing = (strength[:, None] * (colour + mixing * (other - colour))).astype(np.float32)
    slope = directions(draw.uniform(0, settings.shading, count) / leaves.radius, draw)
    shade = 1 + np.clip(slopes(labels, leaves, slope), -0.9, 0.9)
    shown = np.take(colour.T, labels, axis=1) * shade
    if strength.any():
        shown += np.take(swing.T, labels, axis=1) * pattern(labels, leaves, settings, draw)
    return shown


def relief(labels: Labels, settings: DeadLeaves, draw: Generator) -> Floats:
    """Factors of brightness (H, W): shadows and bright edges from light on one side."""
    length = log_uniform(settings.relief_width, draw) * settings.finer
    across, down = np.rint(directions(length, draw)[:, 0]).astype(int)
    rows = np.clip(np.arange(labels.shape[0]) + down, 0, labels.shape[0] - 1)
    columns = np.clip(np.arange(labels.shape[1]) + across, 0, labels.shape[1] - 1)
    towards_light = labels[rows[:, None], columns]
    shadow, edge = draw.uniform(0, settings.relief, 2).astype(np.float32)
    return 1 + edge * (towards_light < labels) - shadow * (towards_light > labels)


def reduced(fine: Floats | NDArray[np.bool_], finer: int) -> Floats:
    """The mean over every pixel's positions, (..., H, W) to (..., H / finer, W / finer)."""
    steps = range(finer)
    parts = (fine[..., row::finer, column::finer] for row in steps for column in steps)
    return sum(parts, np.zeros((), np.float32)) / np.float32(finer**2)


def layer(
    height: int, width: int, settings: DeadLeaves, draw: Generator, palette: Pixels
) -> tuple[Floats, Floats]:
    """Leaves on a ground (3, height, width), about [0, 1], and their coverage of it."""
    leaves = scattered(height, width, settings, draw)
    finer = settings.finer
    labels = painted(height * finer, width * finer, outlines(leaves, settings, draw))
    shown = coloured(labels, leaves, settings, draw, palette) * relief(labels, settings, draw)
    return reduced(shown, finer), reduced(labels > 0, finer)


def lit(image: Floats, settings: DeadLeaves, draw: Generator) -> Floats:
    """(3, H, W) with a linear change of light across it."""
    height, width = image.shape[1:]
    size = 2 * draw.uniform(0, settings.lighting) / max(height, width)
    across, down = directions(np.array([size]), draw)[:, 0]
    x, y = np.arange(width) - width / 2, np.arange(height)[:, None] - height / 2
    return image * (1 + across * x + down * y)


def blurred(image: Floats, sigma: float) -> Floats:
    """(3, H, W) with Gaussian blur, clipped to [0, 1]."""
    picture = Image.fromarray(to_bytes(image)).filter(ImageFilter.GaussianBlur(sigma))
    return np.asarray(picture, np.float32).transpose(2, 0, 1) / 255


def to_bytes(image: Floats) -> Pixels:
    """(3, H, W) about [0, 1] to (H, W, 3) 0..255."""
    rounded = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(rounded.transpose(1, 2, 0))


def checked(palette: Pixels) -> Pixels:
    """Check that colours can be drawn from a palette."""
    if palette.ndim != 2 or palette.shape[1] != 3 or not len(palette) or palette.dtype != np.uint8:
        raise ValueError(
            f"palette {palette.shape} {palette.dtype} found; wanted (N, 3) uint8, N at least 1"
        )
    return palette


def dead_leaves(
    height: int,
    width: int,
    settings: DeadLeaves,
    draw: Generator,
    palette: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """One picture (height, width, 3), 0 to 255; the same generator gives the same bits.

    `palette` (N, 3) has the colours to draw from, such as the pixels of a photo; by default it is
    random.

    Raises:
        ValueError: when a side is below 1, or `palette` is not (N, 3) uint8.
    """
    if height < 1 or width < 1:
        raise ValueError(f"{height} × {width} pixels found; at least 1 × 1 is wanted")
    colours = random_palette(draw) if palette is None else checked(palette)
    image, _ = layer(height, width, settings, draw, colours)
    if draw.random() < settings.deep:
        image = blurred(image, float(log_uniform(settings.background_blur, draw)[0]))
        near, hiding = layer(height, width, settings, draw, colours)
        image += hiding * (near - image)
    image = lit(image, settings, draw)
    if draw.random() < settings.soft:
        image = blurred(image, draw.uniform(*settings.blur))
    return to_bytes(image)
