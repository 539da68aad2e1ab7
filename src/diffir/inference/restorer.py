"""Restorer: a picture in, a better picture out, whatever its size, depth, alpha and colour."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, Union

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffir.errors import DeviceError, PictureError, WeightsError
from diffir.images import Picture, read
from diffir.loading import load_checkpoint
from diffir.model import DiffIRS2
from diffir.tasks import TASKS, Task

from .devices import pick_device, place
from .masks import Holes, find_holes
from .padding import pad_to_multiple
from .planes import join, split

if TYPE_CHECKING:
    from PIL.Image import Image

logger = logging.getLogger(__name__)

ImageLike: TypeAlias = Union[str, Path, Picture, "Image", NDArray[np.generic], Tensor]
"""A file, a Picture, a PIL image, an array (H, W[, C]) uint8, uint16 or float, or a tensor
(3, H, W) or (1, 3, H, W) in [0, 1]."""
Precision: TypeAlias = Literal["float32", "bfloat16"]


class Restorer:
    """A stage-2 network, its task and a device, ready for pictures."""

    def __init__(
        self,
        model: DiffIRS2,
        task: Task,
        *,
        device: str = "auto",
        precision: Precision = "float32",
    ) -> None:
        """Move the network to the device.

        Args:
            model: a trained stage-2 network.
            task: what its pictures and masks mean.
            device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps` …
            precision: bfloat16 is faster where the hardware has it, and slightly inexact.

        Raises:
            DeviceError: when the device is not there.
        """
        self.device = pick_device(device)
        self.task = task
        self.precision: Precision = precision
        self.model = place(model, self.device).eval().requires_grad_(False)

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, device: str = "auto", precision: Precision = "float32"
    ) -> "Restorer":
        """The restorer of a preset's name or of a weights file, ours or the authors'.

        Raises:
            WeightsError: when the file is missing, broken or of stage 1, which needs GT.
            DeviceError: when the device is not there.
        """
        checkpoint = load_checkpoint(name)
        if not isinstance(checkpoint.model, DiffIRS2):
            raise WeightsError(
                f"{name} is a stage-1 network, which needs the ground truth; "
                f"give the stage-2 weights to restore with"
            )
        task = TASKS[checkpoint.task]
        return cls(checkpoint.model, task, device=device, precision=precision)

    @property
    def scale(self) -> int:
        """How much larger the restored picture is."""
        return self.model.config.scale

    def __call__(
        self, image: ImageLike, *, mask: ImageLike | None = None, seed: int = 0
    ) -> Picture:
        """Restore one picture.

        Args:
            image: see `ImageLike`; a file keeps its bit depth, alpha, profile and EXIF.
            mask: for inpainting, of the picture's size; white (or transparent) = hole. Without one,
                the picture's own transparency is taken.
            seed: of the noise that the diffusion starts from; the same seed gives the same bits.

        Raises:
            PictureError, MaskError: when the picture or mask can't be used.
            DeviceError: when memory does not suffice.
        """
        picture = as_picture(image)
        holes = self.holes(picture, mask)
        rgb = torch.from_numpy(np.ascontiguousarray(split(picture))).permute(2, 0, 1)[None]
        holes_tensor = None if holes is None else torch.from_numpy(holes)[None, None]
        restored = self.restore_batch(rgb, masks=holes_tensor, seeds=[seed])
        joined = join(restored[0].permute(1, 2, 0).numpy(), picture)
        if holes is None or picture.alpha is None:
            return joined
        return replace(joined, alpha=np.where(holes, np.float32(1), picture.alpha))

    def holes(self, picture: Picture, mask: ImageLike | None) -> Holes | None:
        """Where the picture has holes, None for tasks without masks."""
        if not self.task.wants_mask:
            if mask is not None:  # the task says why not
                self.task.network_input(torch.empty(0), torch.empty(0))
            return None
        return find_holes(picture, None if mask is None else as_picture(mask))

    @torch.inference_mode()
    def restore_batch(
        self, images: Tensor, *, masks: Tensor | None = None, seeds: Sequence[int]
    ) -> Tensor:
        """Restore pictures of equal size.

        Args:
            images: (B, 3, H, W) in [0, 1].
            masks: (B, 1, H, W), nonzero = hole, for inpainting alone.
            seeds: one for each picture, which gets the same noise in any batch.

        Returns:
            (B, 3, H·scale, W·scale) float32 in [0, 1], on the CPU.

        Raises:
            DeviceError: when memory does not suffice.
        """
        images = images.float().to(self.device)
        holes = None if masks is None else (masks != 0).to(images)
        lq = pad_to_multiple(self.task.network_input(images, holes), self.model.config.multiple_of)
        noise = torch.stack([self.noise(seed) for seed in seeds]).to(self.device)
        try:
            restored = self.run(lq.contiguous(memory_format=torch.channels_last), noise)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            height, width = images.shape[-2:]
            raise DeviceError(
                f"{self.device} has not enough memory for {len(images)} picture(s) of "
                f"{width}×{height}; give smaller pictures or another --device"
            ) from error
        height, width = (side * self.scale for side in images.shape[-2:])
        return self.task.finish(restored[..., :height, :width], images, holes).cpu()

    def noise(self, seed: int) -> Tensor:
        """The start of the diffusion, (4C',), drawn on the CPU so that devices agree."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(self.model.config.ipr_dim, generator=generator)

    def run(self, lq: Tensor, noise: Tensor) -> Tensor:
        """The network in the asked precision, again in float32 where the faster one overflowed."""
        if self.precision == "bfloat16":
            with torch.autocast(self.device.type, torch.bfloat16):
                restored = self.model(lq, noise).float()
            if restored.isfinite().all():
                return restored
            logger.warning("bfloat16 gave NaN or infinity; the picture is restored in float32")
        restored = self.model(lq, noise)
        if not restored.isfinite().all():
            raise PictureError("the network gave NaN or infinity; its weights are likely broken")
        return restored


def as_picture(image: ImageLike) -> Picture:
    """Any form of picture as a Picture.

    Raises:
        PictureError: when it is none.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, (str, Path)):
        return read(image)
    if isinstance(image, Tensor):
        if image.ndim == 4 and image.shape[0] == 1:
            image = image[0]
        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise PictureError(
                f"a tensor of shape {tuple(image.shape)} found; wanted (3, H, W) in [0, 1] "
                f"(use restore_batch for several)"
            )
        return Picture.from_array(image.detach().cpu().float().permute(1, 2, 0).numpy())
    if isinstance(image, np.ndarray):
        return Picture.from_array(image)
    return Picture.from_pil(image)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch lacked memory; the CPU's allocator has no class of its own for that."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
