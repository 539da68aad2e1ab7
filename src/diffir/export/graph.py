"""The exported graph: from a picture of any size to the restored one, including padding.

B batch, H × W pixels, 4C' the length of the IPR.
"""

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from diffir.errors import WeightsError
from diffir.model import DiffIRS2
from diffir.tasks import Task

INPUTS = ("image", "noise", "mask")
OUTPUT = "restored"


class Graph(nn.Module):
    """The steps of `Restorer`, from picture to picture, as one traceable module."""

    def __init__(self, model: DiffIRS2, task: Task) -> None:
        super().__init__()
        self.model = model
        self.task = task

    def forward(self, image: Tensor, noise: Tensor, mask: Tensor | None = None) -> Tensor:
        """Restore.

        Args:
            image: (B, 3, H, W) in [0, 1].
            noise: (B, 4C'), Gaussian, the start of the diffusion.
            mask: (B, 1, H, W), nonzero = hole, only for inpainting.

        Returns:
            (B, 3, H·scale, W·scale) in [0, 1].
        """
        config = self.model.config
        height, width = image.shape[-2:]
        holes = None if mask is None else (mask != 0).to(image.dtype)
        lq = self.task.network_input(image, holes)
        for dim in (-2, -1):
            lq = padded(lq, dim, config.multiple_of)
        restored = cropped(self.model(lq, noise), height * config.scale, width * config.scale)
        return self.task.finish(restored, image, holes)


def padded(x: Tensor, dim: int, multiple: int) -> Tensor:
    """`inference.padding.pad_to_multiple` along one dimension, for a symbolic length."""
    length = x.shape[dim]
    last = torch.arange(length, device=x.device)[-1:]
    period = (2 * last).clamp(min=1)
    position = torch.arange((length + multiple - 1) // multiple * multiple, device=x.device)
    position = position % period
    return x.index_select(dim, torch.minimum(position, period - position))


def cropped(x: Tensor, height: int, width: int) -> Tensor:
    """The first rows and columns of (B, C, H, W).

    By index: the strides of a slice differ between padded sizes and others, which would restrict
    the program to one of the two.
    """
    for dim, length in ((-2, height), (-1, width)):
        x = x.index_select(dim, torch.arange(length, device=x.device))
    return x


def inputs_of(task: Task) -> tuple[str, ...]:
    """The names of the graph's inputs, in order."""
    return INPUTS if task.wants_mask else INPUTS[:2]


def example(model: DiffIRS2, task: Task, batch: int, height: int, width: int) -> list[Tensor]:
    """Random inputs, always the same for the same sizes."""
    draw = torch.Generator().manual_seed(height * 7919 + width)
    image = torch.rand(batch, 3, height, width, generator=draw, dtype=torch.float32)
    noise = torch.randn(batch, model.config.ipr_dim, generator=draw, dtype=torch.float32)
    if not task.wants_mask:
        return [image, noise]
    holes = torch.rand(batch, 1, height, width, generator=draw, dtype=torch.float32) > 0.7
    return [image, noise, holes.float()]


def least_side(model: DiffIRS2) -> int:
    """The smallest side that torch.export supports; ONNX and OpenVINO go down to 1.

    It treats lengths that can be 1 as constants, and the deepest map has one pixel for every
    `multiple_of` pixels of the picture.
    """
    return model.config.multiple_of + 1


def trace(model: DiffIRS2, task: Task) -> ExportedProgram:
    """Trace the graph of a network with dynamic batch, height and width.

    Raises:
        WeightsError: for a network that needs noise at every step.
    """
    if model.config.insert_variance:
        raise WeightsError(
            "a network with insert_variance found, which draws noise at every step; "
            "only networks that draw noise once can be exported"
        )
    batch, least = Dim("batch"), least_side(model)
    sides = {0: batch, 2: Dim("height", min=least), 3: Dim("width", min=least)}
    shapes = (sides, {0: batch}, sides)[: len(inputs_of(task))]
    given = example(model, task, 2, 2 * least, 3 * least)
    program = torch.export.export(
        Graph(model, task).eval(),
        tuple(given),
        dynamic_shapes=shapes,
        prefer_deferred_runtime_asserts_over_guards=True,
    )
    for node in program.graph.nodes:  # contains paths of this machine
        node.meta.pop("stack_trace", None)
    return program
