"""Motion blur: the path of a shaken camera while its shutter is open, and the photo it records.

Light is averaged linearly. B batch, H × W positions, values in [0, 1]; a path is (S, 3) poses at
equal time steps: x and y in pixels, and a rotation in radians about the picture's centre.
"""

import math
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from torch import Tensor

from .batch import Batch, cut
from .draws import Draws, Facts, noise_generator, note
from .jpeg import through_jpeg_file
from .pixels import round_to_8_bit
from .resize import CUBIC_MARGIN, imresize
from .settings import CountSpan, NotNegative, NotNegativeSpan, Probability, Values, ordered

CameraPath = NDArray[np.float64]
"""(S, 3): x, y, turn."""
Quality = Annotated[int, Field(ge=1, le=100)]

PATH_SAMPLES = 512
REACH = 0.7
"""How far a path may reach from its mean, in units of its length: more than half, because a camera
that slows down stays longer at its end. Of 6000 usual paths one went further: 0.2 of 40 pixels."""
LEAST_INERTIA = np.finfo(float).tiny  # a camera that stops at once has no path
HIGHLIGHT = 0.97  # light from here on counts as clipped
STREAM = "motion"


class MotionBlur(Values):
    """How the camera moves, and how it records. All ranges are sampled uniformly."""

    on_device: ClassVar = True

    kind: Literal["motion"] = "motion"
    length: NotNegativeSpan = (0, 40)
    """Length of the camera's path during the exposure, in pixels."""
    turn: NotNegativeSpan = (0, 0.02)
    """Range of the camera's rotation in radians, if it rotates."""
    turn_probability: Probability = 0.5
    """How often the camera rotates, so that the blur varies over the picture."""
    inertia: Annotated[tuple[Probability, Probability], AfterValidator(ordered)] = (0.2, 1)
    """Share of its speed that the camera keeps to the end of the exposure."""
    tremor: NotNegativeSpan = (0, 2)
    """Random change of speed during the exposure, in units of the initial speed."""
    jerks: CountSpan = (0, 2)
    jerk: NotNegative = 1.5
    """Sudden change of speed, in units of the initial speed."""
    highlight_gain: NotNegativeSpan = (1, 3)
    """How much brighter than white the clipped parts of GT were; LQ is clipped after the blur."""
    shot_noise: NotNegativeSpan = (0, 5e-4)
    """Variance of the signal-dependent noise at white."""
    read_noise: NotNegativeSpan = (0, 1e-3)
    """Standard deviation of the noise at black."""
    jpeg_probability: Probability = 0
    jpeg_quality: Annotated[tuple[Quality, Quality], AfterValidator(ordered)] = (70, 95)

    def margin(self, scale: int) -> int:
        """GT pixels from which light may reach the crop, a multiple of the scale.

        Rotation seldom adds one.
        """
        reach = math.ceil(REACH * self.length[1])
        return reach if scale == 1 else scale * (math.ceil(reach / scale) + CUBIC_MARGIN)

    def batch(self, gt: Tensor, scale: int, draws: Draws) -> Batch:
        """Pairs of GT (B, 3, H + 2 · margin, W + 2 · margin)."""
        lq, facts = motion_blur(gt, self, draws, scale)
        margin = self.margin(scale)
        lq = round_to_8_bit(cut(lq, margin // scale))
        return Batch(lq=lq, gt=cut(gt, margin), facts=facts)

    def kernels(self, draws: Draws) -> list[Tensor | None]:
        """The kernel by which `batch` blurs the light of each picture, (k, k) float32.

        None if the camera rotates. Otherwise, unclipped light only gets this kernel, its reduction
        and noise.
        """
        paths = (draw_path(self, draw) for draw in draws.own(STREAM))
        return [None if turns else path_kernel(path) for path, turns in paths]


SHAKE = MotionBlur()
PHONE = MotionBlur(jpeg_probability=0.7)
NOISELESS = MotionBlur(highlight_gain=(1, 1), shot_noise=(0, 0), read_noise=(0, 0))
"""Blur alone, nothing clipped."""
STRAIGHT = NOISELESS.model_copy(update={"turn_probability": 0, "tremor": (0, 0), "jerks": (0, 0)})
"""Blur along straight lines."""
UNIFORM = MotionBlur(
    length=(15, 25),
    turn_probability=0,
    highlight_gain=(1, 1),
    shot_noise=(3e-4, 3e-4),
    read_noise=(0, 0),
)
"""One kernel per picture, with noise of σ about 2/255 in the file."""


def srgb_to_linear(image: Tensor) -> Tensor:
    """Values in sRGB to linear light (IEC 61966-2-1)."""
    return torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055).clamp(0) ** 2.4)


def linear_to_srgb(light: Tensor) -> Tensor:
    """Linear light to values in sRGB (IEC 61966-2-1)."""
    root = light.clamp(min=0) ** (1 / 2.4)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * root - 0.055)


def camera_path(
    length: float, turn: float, settings: MotionBlur, draw: np.random.Generator
) -> CameraPath:
    """A path of the given length and rotation, with mean 0.

    The speed starts in a random direction, tremor changes it all the time and jerks sometimes, and
    it decays as given by the inertia.
    """
    times = np.arange(PATH_SAMPLES) / PATH_SAMPLES
    first, *pushes = draw.normal(size=(1 + draw.integers(*settings.jerks, endpoint=True), 3))
    tremor = draw.uniform(*settings.tremor) / math.sqrt(PATH_SAMPLES)
    gains = tremor * draw.normal(size=(PATH_SAMPLES, 3))
    gains[0] += first / np.linalg.norm(first[:2])
    for push in pushes:
        gains[draw.integers(PATH_SAMPLES)] += settings.jerk * push / np.linalg.norm(push[:2])
    fade = max(draw.uniform(*settings.inertia), LEAST_INERTIA) ** times
    speed = np.stack([np.convolve(gain, fade)[:PATH_SAMPLES] for gain in gains.T], axis=1)
    path = np.cumsum(speed, axis=0) - speed[0]
    travelled = np.linalg.norm(np.diff(path[:, :2], axis=0), axis=1).sum()
    scale = np.array([length / travelled, length / travelled, turn / np.ptp(path[:, 2])])
    return (path - path.mean(axis=0)) * scale


def path_kernel(path: CameraPath) -> Tensor:
    """The (k, k) float32 kernel of a path without its rotation: where the light of a point lands.

    Its sum is 1, its centre of mass in the middle; k is odd and as small as the path allows. Each
    sample is distributed bilinearly over four pixels.
    """
    radius = math.ceil(np.abs(path[:, :2]).max())
    corner = np.floor(path[:, :2])
    part = path[:, :2] - corner
    x, y = (corner + radius).astype(int).T
    kernel = np.zeros((2 * radius + 2, 2 * radius + 2))  # one more, which stays 0
    for right in (0, 1):
        for down in (0, 1):
            share = np.abs(1 - right - part[:, 0]) * np.abs(1 - down - part[:, 1])
            np.add.at(kernel, (y + down, x + right), share)
    return torch.from_numpy(kernel[:-1, :-1] / len(path)).float()


def blur(images: Tensor, kernel: Tensor) -> Tensor:
    """Convolve (B, C, H, W) with a kernel (k, k), k odd; borders are replicated."""
    radius = len(kernel) // 2
    height, width = images.shape[-2:]
    padded = F.pad(images, [radius] * 4, mode="replicate")
    blurred = torch.zeros_like(images)
    # Few of the k² entries are not 0: adding shifted pictures is much faster than conv2d.
    for y, x in kernel.nonzero().tolist():
        top, left = 2 * radius - y, 2 * radius - x
        window = padded[..., top : top + height, left : left + width]
        blurred += float(kernel[y, x]) * window
    return blurred


def from_the_middle(side: int, like: Tensor) -> Tensor:
    """Positions of the pixels of a line relative to its middle."""
    return torch.arange(side, device=like.device).to(like) - (side - 1) / 2


def shake(images: Tensor, path: CameraPath) -> Tensor:
    """The mean of (B, C, H, W) seen from all poses of a path: blur that varies over the picture.

    Without rotation it equals `blur` with the path's kernel.
    """
    height, width = images.shape[-2:]
    column, row = (from_the_middle(side, images) for side in (width, height))
    shaken = torch.zeros_like(images)
    for x, y, turn in path.tolist():
        # A point p moves to R p + shift, so the light at q comes from R⁻¹ (q − shift).
        cos, sin = 2 * math.cos(turn), 2 * math.sin(turn)  # grids go from −1 to 1
        right, down = column - x, (row - y)[:, None]
        source = (
            right * (cos / width) + down * (sin / width),
            down * (cos / height) - right * (sin / height),
        )
        grid = torch.stack(source, dim=-1).expand(len(images), -1, -1, -1)
        shaken += F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return shaken / len(path)


def thinned(path: CameraPath, height: int, width: int) -> CameraPath:
    """As many poses of a path as suffice: two per pixel that the corners travel."""
    reach = np.array([1, 1, math.hypot(height, width) / 2])
    travelled = np.linalg.norm(np.diff(path * reach, axis=0), axis=1).sum()
    count = min(math.ceil(2 * travelled) + 1, len(path))
    return path[np.linspace(0, len(path) - 1, count).round().astype(int)]


def brighten_highlights(light: Tensor, gain: float) -> Tensor:
    """Roughly undo the clipping of highlights: make white parts `gain` times as bright."""
    # By the darkest channel, so that the edges of highlights stay free of colour
    clipped = ((light.amin(dim=1, keepdim=True) - HIGHLIGHT) / (1 - HIGHLIGHT)).clamp(0, 1)
    return light * (1 + (gain - 1) * clipped)


def add_noise(light: Tensor, shot: float, read: float, generator: torch.Generator) -> Tensor:
    """Sensor noise: variance shot · light + read²."""
    noise = torch.randn(light.shape, generator=generator, device=generator.device).to(light)
    return light + (shot * light + read**2).sqrt() * noise


def draw_path(settings: MotionBlur, draw: np.random.Generator) -> tuple[CameraPath, bool]:
    """The path of one photo, drawn before all else, and whether the camera rotates."""
    turns = draw.random() < settings.turn_probability
    length, turn = draw.uniform(*settings.length), draw.uniform(*settings.turn)
    path = camera_path(length, turn, settings, draw)
    reach = path[-1, :2] - path[0, :2]
    angle = math.degrees(math.atan2(reach[1], reach[0])) % 180
    note(draw, path_length=length, path_angle=angle, path_turn=turn if turns else 0.0)
    return path, turns


def record(
    image: Tensor, settings: MotionBlur, draw: np.random.Generator, scale: int = 1
) -> Tensor:
    """The blurred photo (1, 3, H/scale, W/scale) of a sharp one (1, 3, H, W)."""
    path, turns = draw_path(settings, draw)
    light = brighten_highlights(srgb_to_linear(image), draw.uniform(*settings.highlight_gain))
    if turns:
        light = shake(light, thinned(path, *image.shape[-2:]))
    else:
        light = blur(light, path_kernel(path))
    if scale > 1:  # larger pixels, which collect light before the camera adds its noise
        light = imresize(light, 1 / scale)
    shot, read = draw.uniform(*settings.shot_noise), draw.uniform(*settings.read_noise)
    note(draw, shot_noise=shot, read_noise=read)
    generator = noise_generator(draw, light.device)
    light = add_noise(light.clamp(0, 1), shot, read, generator)
    lq = linear_to_srgb(light.clamp(0, 1))
    if draw.random() < settings.jpeg_probability:
        quality = int(draw.integers(*settings.jpeg_quality, endpoint=True))
        note(draw, jpeg_quality=quality)
        lq = through_jpeg_file(lq, quality)
    return lq


@torch.no_grad()
def motion_blur(
    gt: Tensor, settings: MotionBlur, draws: Draws, scale: int = 1
) -> tuple[Tensor, tuple[Facts, ...]]:
    """LQ (B, 3, H/scale, W/scale) of GT (B, 3, H, W) in [0, 1], and each picture's facts.

    Raises:
        ValueError: when GT is not a batch of colour pictures.
    """
    if gt.ndim != 4 or gt.shape[1] != 3:
        raise ValueError(f"pictures of shape {tuple(gt.shape)} found; (B, 3, H, W) is wanted")
    own = draws.own(STREAM)
    lq = torch.cat([record(gt[i : i + 1], settings, draw, scale) for i, draw in enumerate(own)])
    return lq, tuple(draw.facts for draw in own)


def average_frames(frames: Tensor, gamma: float = 2.2) -> Tensor:
    """Blur like GoPro's: (N, ...) consecutive sharp frames, averaged as light.

    Raises:
        ValueError: when there is no frame.
    """
    if len(frames) == 0:
        raise ValueError("no frames found; at least one is wanted")
    return (frames.clamp(min=0) ** gamma).mean(dim=0) ** (1 / gamma)
