"""Tasks: the network's input from the user's picture, and the user's picture from its output.

B batch, H × W pixels. Pictures are (B, 3, H, W) in [0, 1]; masks (B, 1, H, W), 1 = hole, 0 = known.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from diffir.errors import MaskError


class Task(Protocol):
    """Two functions, shared by training and inference."""

    @property
    def name(self) -> str:
        """The name in commands and weights files."""

    @property
    def wants_mask(self) -> bool:
        """Whether a mask of holes is required."""

    def network_input(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """LQ as the network takes it, (B, in_channels, H, W)."""

    def finish(self, restored: Tensor, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """The picture for the user, in [0, 1], from the network's output."""


def unwanted_mask(task: str) -> MaskError:
    """The error for a mask that the task does not use."""
    return MaskError(f"a mask was given with task {task}, which takes none; leave it out")


def misfit_mask(mask: tuple[int, int], picture: tuple[int, int]) -> MaskError:
    """The error for a mask of another size than the picture, both (width, height)."""
    return MaskError(
        f"the mask is {mask[0]}×{mask[1]}, the picture {picture[0]}×{picture[1]}; "
        "give a mask of the picture's size"
    )


def missing_mask() -> MaskError:
    """The error for inpainting without a mask."""
    return MaskError(
        "task inpaint needs a mask; give one of the picture's size, white (or transparent) = hole"
    )


@dataclass(frozen=True)
class Deblurring:
    """Removes motion blur; same size."""

    name: str = "deblur"
    wants_mask: bool = False

    def network_input(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """The picture itself."""
        if mask is not None:
            raise unwanted_mask(self.name)
        return image

    def finish(self, restored: Tensor, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """The network's output, clamped to [0, 1]."""
        return restored.clamp(0, 1)


@dataclass(frozen=True)
class SuperResolution(Deblurring):
    """A larger (or, at scale 1, cleaner) picture, enlarged by the network's scale."""

    name: str = "sr"


@dataclass(frozen=True)
class Inpainting:
    """Holes filled, known pixels untouched."""

    name: str = "inpaint"
    wants_mask: bool = True

    def network_input(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """The picture with its holes blacked out, and the mask as a fourth channel."""
        if mask is None:
            raise missing_mask()
        return torch.cat([image * (1 - mask), mask], dim=1)

    def finish(self, restored: Tensor, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """The network's output in the holes, elsewhere the picture's own pixels, bit for bit."""
        if mask is None:
            raise missing_mask()
        return torch.where(mask > 0, restored.clamp(0, 1), image)


TASKS: dict[str, Task] = {
    task.name: task for task in (Deblurring(), Inpainting(), SuperResolution())
}
