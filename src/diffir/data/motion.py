"""Motion blur: the path that a shaken camera takes while its shutter is open, and what it records.

All light is added up as light is, linearly. B batch, H × W positions, values in [0, 1]; a path is
(S, 3) poses at equal times: x and y in pixels, and a turn in radians about the picture's centre.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .pairs import to_pixels, to_tensor

CameraPath = NDArray[np.float64]
"""(S, 3): x, y, turn."""
Range = tuple[float, float]
"""What is drawn lies evenly in it."""

PATH_SAMPLES = 512
HIGHLIGHT = 0.97  # light from here on is taken to be clipped
# Keeps these draws apart from those that cut the crops by the same seed.
STREAM = int.from_bytes(b"move", "big")


@dataclass(frozen=True, kw_only=True)
class MotionSettings:
    """How the camera moves, and how it records."""

    length: Range = (0, 40)
    """Pixels that the camera travels during the exposure."""
    turn: Range = (0, 0.02)
    """Radians between the outermost turns, where the camera turns at all."""
    turn_odds: float = 0.5
    """How often blur varies over the picture, 0 to 1."""
    inertia: Range = (0.2, 1)
    """Share of its speed that the camera keeps to the end of the exposure."""
    tremor: Range = (0, 2)
    """Random change of speed during the exposure, in units of the first speed."""
    jerks: tuple[int, int] = (0, 2)
    jerk: float = 1.5
    """Change of speed at once, in units of the first speed."""
    highlight_gain: Range = (1, 3)
    """How much brighter than white the clipped parts of GT were; blur clips them again."""
    shot_noise: Range = (0, 5e-4)
    """Variance of the noise at white, where it grows with the light."""
    read_noise: Range = (0, 1e-3)
    """Standard deviation of the noise in black."""
    jpeg_odds: float = 0.0
    jpeg_quality: tuple[int, int] = (70, 95)


PHONE = MotionSettings(jpeg_odds=0.7)
NOISELESS = MotionSettings(highlight_gain=(1, 1), shot_noise=(0, 0), read_noise=(0, 0))
"""Blur alone, nothing clipped."""
STRAIGHT = replace(NOISELESS, turn_odds=0, tremor=(0, 0), jerks=(0, 0))
"""Blur along straight lines."""


def srgb_to_linear(image: Tensor) -> Tensor:
    """Values of files to amounts of light (IEC 61966-2-1)."""
    return torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055).clamp(0) ** 2.4)


def linear_to_srgb(light: Tensor) -> Tensor:
    """Amounts of light to values of files (IEC 61966-2-1)."""
    root = light.clamp(min=0) ** (1 / 2.4)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * root - 0.055)


def camera_path(
    length: float, turn: float, settings: MotionSettings, draw: np.random.Generator
) -> CameraPath:
    """A path of the given length and turn, its mean at 0.

    Speed starts in a random direction, is changed by tremor at all times and by jerks at some, and
    what it gained fades as inertia says.
    """
    times = np.arange(PATH_SAMPLES) / PATH_SAMPLES
    first, *pushes = draw.normal(size=(1 + draw.integers(*settings.jerks, endpoint=True), 3))
    tremor = draw.uniform(*settings.tremor) / math.sqrt(PATH_SAMPLES)
    gains = tremor * draw.normal(size=(PATH_SAMPLES, 3))
    gains[0] += first / np.linalg.norm(first[:2])
    for push in pushes:
        gains[draw.integers(PATH_SAMPLES)] += settings.jerk * push / np.linalg.norm(push[:2])
    age = np.subtract.outer(times, times)
    speed = np.where(age >= 0, draw.uniform(*settings.inertia) ** age.clip(0), 0) @ gains
    path = np.cumsum(speed, axis=0) - speed[0]
    travelled = np.linalg.norm(np.diff(path[:, :2], axis=0), axis=1).sum()
    scale = np.array([length / travelled, length / travelled, turn / np.ptp(path[:, 2])])
    return (path - path.mean(axis=0)) * scale


def path_kernel(path: CameraPath) -> Tensor:
    """The (k, k) float32 kernel of a path without its turns: where light of a point arrives.

    Its sum is 1, its centre of mass in the middle; k is odd and as small as the path allows. Each
    sample is shared among the four pixels around it.
    """
    radius = math.ceil(np.abs(path[:, :2]).max())
    corner = np.floor(path[:, :2])
    part = path[:, :2] - corner
    x, y = (corner + radius).astype(int).T
    kernel = np.zeros((2 * radius + 2, 2 * radius + 2))  # one more, which gets 0 only
    for right in (0, 1):
        for down in (0, 1):
            share = np.abs(1 - right - part[:, 0]) * np.abs(1 - down - part[:, 1])
            np.add.at(kernel, (y + down, x + right), share)
    return torch.from_numpy(kernel[:-1, :-1] / len(path)).float()


def blur(images: Tensor, kernel: Tensor) -> Tensor:
    """Convolve (B, C, H, W) with a kernel (k, k), k odd; borders go on as their last pixel."""
    radius = len(kernel) // 2
    height, width = images.shape[-2:]
    padded = F.pad(images, [radius] * 4, mode="replicate")
    blurred = torch.zeros_like(images)
    # Paths touch few of the k² places: adding shifted pictures is much faster than conv2d.
    for y, x in kernel.nonzero().tolist():
        top, left = 2 * radius - y, 2 * radius - x
        window = padded[..., top : top + height, left : left + width]
        blurred += float(kernel[y, x]) * window
    return blurred


def shake(images: Tensor, path: CameraPath) -> Tensor:
    """The mean of (B, C, H, W) as seen from all poses of a path: blur that varies over the picture.

    Without turns it is what `blur` does with the path's kernel.
    """
    height, width = images.shape[-2:]
    size = torch.tensor([width, height], device=images.device)
    pixels = torch.stack(
        torch.meshgrid(
            torch.arange(width, device=images.device) - (width - 1) / 2,
            torch.arange(height, device=images.device) - (height - 1) / 2,
            indexing="xy",
        ),
        dim=-1,
    )  # (H, W, 2), x and y from the centre
    shaken = torch.zeros_like(images)
    for x, y, turn in path.tolist():
        cos, sin = math.cos(turn), math.sin(turn)
        # A point p arrives at turned(p) + shift, so q sees turned back(q - shift).
        back = pixels.new_tensor([[cos, -sin], [sin, cos]])
        source = (pixels - pixels.new_tensor([x, y])) @ back * 2 / size
        grid = source.expand(len(images), -1, -1, -1).to(images)
        shaken += F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return shaken / len(path)


def thinned(path: CameraPath, height: int, width: int) -> CameraPath:
    """Fewer poses of a path, that suffice: two for each pixel that the corners travel."""
    reach = np.array([1, 1, math.hypot(height, width) / 2])
    travelled = np.linalg.norm(np.diff(path * reach, axis=0), axis=1).sum()
    count = min(math.ceil(2 * travelled) + 1, len(path))
    return path[np.linspace(0, len(path) - 1, count).round().astype(int)]


def brighten_highlights(light: Tensor, gain: float) -> Tensor:
    """Undo the clipping of white parts, roughly: they get `gain` times as bright, others stay."""
    # By the darkest of the three, so that the edges of highlights take no colour.
    clipped = ((light.amin(dim=1, keepdim=True) - HIGHLIGHT) / (1 - HIGHLIGHT)).clamp(0, 1)
    return light * (1 + (gain - 1) * clipped)


def add_noise(light: Tensor, shot: float, read: float, generator: torch.Generator) -> Tensor:
    """Sensor noise: variance shot · light + read²; drawn on the CPU, alike for all devices."""
    noise = torch.randn(light.shape, generator=generator).to(light)
    return light + (shot * light + read**2).sqrt() * noise


def through_jpeg(image: Tensor, quality: int) -> Tensor:
    """(1, 3, H, W) as it comes back from a JPEG file."""
    data = BytesIO()
    Image.fromarray(to_pixels(image.cpu())).save(data, format="JPEG", quality=quality)
    return to_tensor(np.array(Image.open(data))).to(image)


def record(image: Tensor, settings: MotionSettings, draw: np.random.Generator) -> Tensor:
    """One blurred photo (1, 3, H, W) of a sharp one."""
    turns = draw.random() < settings.turn_odds
    length, turn = draw.uniform(*settings.length), draw.uniform(*settings.turn)
    path = camera_path(length, turn, settings, draw)
    light = brighten_highlights(srgb_to_linear(image), draw.uniform(*settings.highlight_gain))
    if turns:
        light = shake(light, thinned(path, *image.shape[-2:]))
    else:
        light = blur(light, path_kernel(path))
    shot, read = draw.uniform(*settings.shot_noise), draw.uniform(*settings.read_noise)
    generator = torch.Generator().manual_seed(int(draw.integers(2**63)))
    light = add_noise(light.clamp(0, 1), shot, read, generator)
    lq = linear_to_srgb(light.clamp(0, 1))
    if draw.random() < settings.jpeg_odds:
        lq = through_jpeg(lq, int(draw.integers(*settings.jpeg_quality, endpoint=True)))
    return lq


def motion_blur(gt: Tensor, settings: MotionSettings, seed: Sequence[int]) -> Tensor:
    """LQ of GT, both (B, 3, H, W) in [0, 1]; each picture draws from `seed` and its index alone.

    Raises:
        ValueError: when GT is not a batch of colour pictures.
    """
    if gt.ndim != 4 or gt.shape[1] != 3:
        raise ValueError(f"pictures of shape {tuple(gt.shape)} found; (B, 3, H, W) is wanted")
    draws = (
        np.random.default_rng(np.random.SeedSequence(list(seed), spawn_key=(STREAM, index)))
        for index in range(len(gt))
    )
    return torch.cat([record(gt[i : i + 1], settings, draw) for i, draw in enumerate(draws)])


def average_frames(frames: Tensor, gamma: float = 2.2) -> Tensor:
    """Blur as GoPro's was made: (N, ...) consecutive sharp frames, averaged as light.

    Raises:
        ValueError: when there is no frame.
    """
    if len(frames) == 0:
        raise ValueError("no frames found; at least one is wanted")
    return (frames.clamp(min=0) ** gamma).mean(dim=0) ** (1 / gamma)
