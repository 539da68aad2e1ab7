"""Compare exported files with the original network at several sizes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from diffir.errors import WeightsError
from diffir.inference.padding import pad_to_multiple
from diffir.model import DiffIRS2
from diffir.tasks import Task

from .graph import example, inputs_of, least_side
from .onnx_file import Inputs
from .runners import Array, Runner

SIZES = ((1, 1, 1), (1, 7, 50), (2, 24, 40), (3, 33, 18), (1, 65, 65))
"""Batch, height and width: below, at and between the multiples that the network requires."""
TOLERANCE = 1e-4
"""The largest difference accepted in float32."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """The result of one comparison; pictures are in [0, 1]."""

    inputs: str
    """`noise` or the name of a photo."""
    batch: int
    height: int
    width: int
    difference: float
    """The largest of all pixels."""
    psnr: float
    """In dB, of the exported network's pictures against the original's; infinite if equal."""


def named(task: Task, given: Sequence[Tensor]) -> Inputs:
    """Arrays by the names of the graph's inputs."""
    return {name: tensor.numpy() for name, tensor in zip(inputs_of(task), given, strict=True)}


def sizes_of(model: DiffIRS2, runner: Runner) -> list[tuple[int, int, int]]:
    """The sizes to compare; see `least_side`."""
    least = least_side(model) if runner.backend == "torch" else 1
    sizes = [size for size in SIZES if min(size[1:]) >= least]
    return sizes or [(1, least, least), (2, least + 3, 2 * least)]


def check(
    model: DiffIRS2, task: Task, runner: Runner, photos: Iterable[tuple[str, Inputs]]
) -> list[Row]:
    """Run both on noise in several sizes, and on photos.

    Raises:
        WeightsError: when the exported network gives other shapes, NaN, or differs in float32.
    """
    sizes = sizes_of(model, runner)
    noise = (("noise", named(task, example(model, task, *size))) for size in sizes)
    rows = [compare(model, task, runner, name, inputs) for name, inputs in (*noise, *photos)]
    worst = max(row.difference for row in rows)
    if runner.facts.precision == "float32" and worst > TOLERANCE:
        raise WeightsError(
            f"the exported network differs from the original by {worst:.1e}, more than "
            f"{TOLERANCE:g}, so nothing was written; try another version of {runner.backend}"
        )
    return rows


def compare(model: DiffIRS2, task: Task, runner: Runner, name: str, inputs: Inputs) -> Row:
    """One comparison; raises WeightsError as `check`."""
    wanted = plainly(model, task, inputs)
    found = runner.run(inputs)
    if found.shape != wanted.shape or not np.isfinite(found).all():
        raise WeightsError(
            f"the exported network gave shape {found.shape} instead of {wanted.shape}, or NaN, so "
            f"nothing was written; try another precision or version of {runner.backend}"
        )
    batch, _, height, width = inputs["image"].shape
    error = np.abs(found.astype(np.float64) - wanted)
    square = float(np.square(error).mean())
    return Row(
        inputs=name,
        batch=batch,
        height=height,
        width=width,
        difference=float(error.max()),
        psnr=-10 * math.log10(square) if square else math.inf,
    )


@torch.inference_mode()
def plainly(model: DiffIRS2, task: Task, inputs: Inputs) -> Array:
    """The output without engine and export: padding, network, crop, finish."""
    image, noise, *rest = (torch.from_numpy(array) for array in inputs.values())
    mask = (rest[0] != 0).float() if rest else None
    height, width = (side * model.config.scale for side in image.shape[-2:])
    lq = pad_to_multiple(task.network_input(image, mask), model.config.multiple_of)
    return task.finish(model(lq, noise)[..., :height, :width], image, mask).numpy()
