"""Photos that quantisation sees, so that it knows the ranges of what flows through the network."""

from pathlib import Path

import numpy as np
import torch

from diffir.data.folders import picture_files
from diffir.images import read
from diffir.inference.planes import split
from diffir.model import DiffIRS2
from diffir.tasks import Task

from .check import named
from .onnx_file import Inputs

MOST = 12
"""Photos that are taken, evenly over the folder."""
SIDE = 128
"""Of the middle that is taken of each, in pixels."""


def calibration(folder: Path, model: DiffIRS2, task: Task) -> list[tuple[str, Inputs]]:
    """Inputs of the graph by the photos' names, with noise and holes that are the same every time.

    Raises:
        DataError, PictureError: when there is no photo, or one can't be read.
    """
    files = picture_files([folder])
    chosen = [files[int(place)] for place in np.linspace(0, len(files) - 1, min(MOST, len(files)))]
    return [(file.name, sample(file, model, task, seed)) for seed, file in enumerate(chosen)]


def sample(file: Path, model: DiffIRS2, task: Task, seed: int) -> Inputs:
    """The inputs made of one photo: its middle, and for inpainting a hole in that."""
    pixels = split(read(file))
    top, left = (max(0, side - SIDE) // 2 for side in pixels.shape[:2])
    middle = np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])
    image = torch.from_numpy(middle).permute(2, 0, 1)[None].contiguous()
    draw = torch.Generator().manual_seed(seed)
    given = [image, torch.randn(1, model.config.ipr_dim, generator=draw)]
    if task.wants_mask:
        height, width = image.shape[-2:]
        mask = torch.zeros(1, 1, height, width)
        mask[..., height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 1
        given.append(mask)
    return named(task, given)
