"""Photos for calibrating the value ranges of quantisation."""

from pathlib import Path

import numpy as np
import torch

from diffir.data.folders import picture_files
from diffir.images import read
from diffir.inference.network import noise_of
from diffir.inference.planes import split
from diffir.model import DiffIRS2
from diffir.tasks import Task

from .check import named
from .onnx_file import Inputs

MOST = 12
"""Number of photos, spread evenly over the folder."""
SIDE = 128
"""Side of the crop from the middle of each, in pixels."""


def calibration(folder: Path, model: DiffIRS2, task: Task) -> list[tuple[str, Inputs]]:
    """Inputs of the graph by the photos' names, with deterministic noise and holes.

    Raises:
        DataError, PictureError: when there is no photo, or one cannot be read.
    """
    files = picture_files([folder])
    chosen = [files[int(place)] for place in np.linspace(0, len(files) - 1, min(MOST, len(files)))]
    return [(file.name, sample(file, model, task, seed)) for seed, file in enumerate(chosen)]


def sample(file: Path, model: DiffIRS2, task: Task, seed: int) -> Inputs:
    """The inputs from one photo: its middle, and for inpainting a hole in it."""
    pixels = split(read(file))
    top, left = (max(0, side - SIDE) // 2 for side in pixels.shape[:2])
    middle = np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])
    image = torch.from_numpy(middle).permute(2, 0, 1)[None].contiguous()
    given = [image, noise_of(seed, model.config.ipr_dim)]
    if task.wants_mask:
        height, width = image.shape[-2:]
        mask = image.new_zeros(1, 1, height, width)
        mask[..., height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 1
        given.append(mask)
    return named(task, given)
