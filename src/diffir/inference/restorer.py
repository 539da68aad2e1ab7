"""Restorer: restores pictures of any size, bit depth and colour type, with or without alpha."""

import logging
import operator
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from diffir.checkpoints import Checkpoint
from diffir.checkpoints.folder import save_folder
from diffir.checkpoints.hub import push
from diffir.errors import DeviceError, MaskError, PictureError, WeightsError
from diffir.images import MAX_PIXELS, Picture, read
from diffir.images.holes import Holes
from diffir.loading import load_checkpoint
from diffir.model import DiffIRS1, DiffIRS2
from diffir.tasks import TASKS, Task, unwanted_mask
from diffir.text import few

from .devices import Precision, is_out_of_memory, pick_device, to_device, usable_precision
from .ensemble import ensembled
from .masks import find_holes, require_white
from .network import noise_of, run_network
from .padding import pad_to_multiple
from .planes import join, split

logger = logging.getLogger(__name__)

ImageLike: TypeAlias = str | Path | Picture | Image.Image | NDArray[np.generic] | Tensor
"""A file, a Picture, a PIL image, an array (H, W[, C]) of uint8, uint16, bool or floating point in
[0, 1], or a tensor (H, W), (1 or 3, H, W) or (1, 1 or 3, H, W) in [0, 1]."""
Progress: TypeAlias = Callable[[float], None]
"""Called with the share done, from 0 to 1, many times per picture."""


class Restorer:
    """A stage-2 network, its task and a device, ready for pictures."""

    def __init__(
        self,
        model: DiffIRS2,
        task: Task,
        *,
        device: str = "auto",
        precision: Precision = "float32",
        memory: int | None = None,
        ensemble: bool = False,
    ) -> None:
        """Move the network to the device.

        Args:
            model: a trained stage-2 network, in float32.
            task: one of `diffir.tasks.TASKS`.
            device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps` …
            precision: bfloat16 is faster where the hardware supports it, and slightly inexact;
                elsewhere float32 is used, with a warning.
            memory: limit for a call in bytes; None: the free memory, with a margin. It does not
                change the result, only how much is computed at once.
            ensemble: average over flips and rotations of each picture, which gains some tenths of
                a dB, but takes 8 times as long and memory for two more restored pictures.

        Raises:
            WeightsError: when the network is of stage 1, not in float32, or not of the task.
            DeviceError: when the device is not available, or precision or memory are invalid.
        """
        require_network(model, task)
        self.device = pick_device(device)
        self.task = task
        self.precision: Precision = usable_precision(precision, self.device)
        self.memory = None if memory is None else as_bytes(memory)
        self.ensemble = ensemble
        self.model = to_device(model, self.device).eval()
        self.preset: str | None = None
        self.training: dict[str, Any] = {}
        """Facts stored with the weights, see `Checkpoint`."""

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        detail: float = 0.0,
        device: str = "auto",
        precision: Precision = "float32",
        memory: int | None = None,
        ensemble: bool = False,
    ) -> "Restorer":
        """Load a preset, a weights file, a folder or a repository on the Hub.

        `name`, `revision` and `detail` are those of `diffir.load`, the others those of `Restorer`.

        Raises:
            WeightsError: when the file is missing, broken or of stage 1, which needs GT.
            DeviceError: when the device is not available.
        """
        checkpoint = load_checkpoint(name, revision=revision, detail=detail)
        if not isinstance(checkpoint.model, DiffIRS2):
            raise WeightsError(
                f"{name} is a stage-1 network, which needs the ground truth; "
                f"give the stage-2 weights to restore with"
            )
        task = TASKS[checkpoint.task]
        restorer = cls(
            checkpoint.model,
            task,
            device=device,
            precision=precision,
            memory=memory,
            ensemble=ensemble,
        )
        restorer.preset, restorer.training = checkpoint.preset, checkpoint.training
        return restorer

    def save_pretrained(self, folder: str | Path, *, license: str = "unknown") -> None:
        """Write a folder that `from_pretrained` takes: weights, config.json and a model card.

        `license` is that of the weights, as the Hub spells it; an existing card is kept.

        Raises:
            WeightsError: when the folder cannot be written.
        """
        save_folder(self._checkpoint(), Path(folder), license=license)

    def push_to_hub(
        self, repo: str, *, license: str = "unknown", private: bool | None = None
    ) -> str:
        """Commit that folder to a repository `user/name` on the Hub; returns the commit's URL.

        A missing repository is created; `private` None means the account's default.

        Raises:
            WeightsError: when the Hub cannot be reached or refuses.
        """
        return push(self._checkpoint(), repo, license=license, private=private)

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            model=self.model, task=self.task.name, preset=self.preset, training=self.training
        )

    @property
    def scale(self) -> int:
        """The factor by which the restored picture is larger."""
        return self.model.config.scale

    def __call__(
        self,
        image: ImageLike,
        *,
        mask: ImageLike | None = None,
        seed: int = 0,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
        stop: Event | None = None,
    ) -> Picture:
        """Restore one picture.

        Args:
            image: see `ImageLike`; a file keeps its bit depth, alpha, profile and EXIF.
            mask: for inpainting, of the picture's size; white (or transparent) = hole. Without one,
                the picture's own transparency is used.
            seed: of the noise that the diffusion starts from; the same seed gives the same bits.
            max_pixels: of the largest file to read, see `diffir.images.read`.
            progress: see `Progress`; not called on a GPU that holds the picture whole.
            stop: set it, from another thread or in `progress`, to end the call early.

        Raises:
            PictureError, MaskError: when the picture or mask cannot be used.
            DeviceError: when memory does not suffice.
            StoppedError: when `stop` was set.
        """
        picture = as_picture(image, max_pixels)
        holes = self.holes(picture, mask, max_pixels)
        return self.restore_pictures(
            [picture], [holes], seeds=[seed], progress=progress, stop=stop
        )[0]

    def restore_pictures(
        self,
        pictures: Sequence[Picture],
        holes: Sequence[Holes | None],
        *,
        seeds: Sequence[int],
        progress: Progress | None = None,
        stop: Event | None = None,
    ) -> list[Picture]:
        """Restore pictures of equal size together; `holes` are those of `Restorer.holes`.

        Everything else as in `restore_batch`.
        """
        sizes = {(picture.width, picture.height) for picture in pictures}
        if len(sizes) != 1 or len(holes) != len(pictures):
            raise PictureError(
                f"{len(pictures)} picture(s) of {len(sizes)} size(s) with {len(holes)} entries for "
                "holes found; wanted one or more of equal size, with an entry (or None) for each"
            )
        rgb = torch.from_numpy(np.stack([split(picture) for picture in pictures]))  # (B, H, W, 3)
        masks = [one for one in holes if one is not None]
        restored = self.restore_batch(
            rgb.permute(0, 3, 1, 2),
            masks=torch.from_numpy(np.stack(masks))[:, None] if masks else None,
            seeds=seeds,
            progress=progress,
            stop=stop,
        )
        return [
            join(pixels.permute(1, 2, 0).numpy(), picture, one)
            for pixels, picture, one in zip(restored, pictures, holes, strict=True)
        ]

    def holes(
        self, picture: Picture, mask: ImageLike | None, max_pixels: int = MAX_PIXELS
    ) -> Holes | None:
        """The holes of a picture, None for tasks without masks; raises MaskError."""
        if self.task.wants_mask:
            require_white(mask)
            return find_holes(picture, None if mask is None else as_picture(mask, max_pixels))
        if mask is not None:
            raise unwanted_mask(self.task.name)
        return None

    @torch.inference_mode()
    def restore_batch(
        self,
        images: Tensor,
        *,
        masks: Tensor | None = None,
        seeds: Sequence[int],
        progress: Progress | None = None,
        stop: Event | None = None,
        ipr_filter: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Restore pictures of equal size.

        Args:
            images: (B, 3, H, W) in [0, 1].
            masks: (B, 1, H, W), nonzero = hole, only for inpainting.
            seeds: one for each picture, which gets the same noise in any batch.
            progress: as in a call.
            stop: as in a call.
            ipr_filter: maps the IPR of each picture, (1, 4C'), to the one to restore it with; may
                be called more than once per picture.

        Returns:
            (B, 3, H·scale, W·scale) float32 in [0, 1], on the CPU.

        Raises:
            PictureError, MaskError: for other shapes or ranges.
            DeviceError: when memory does not suffice.
            StoppedError: when `stop` was set.
        """
        require_batch(images, masks, seeds)
        seeds = [as_seed(seed) for seed in seeds]
        height, width = images.shape[-2:]
        try:
            images = images.float().to(self.device)
            holes = None if masks is None else (masks != 0).to(images)
            noise = torch.stack([self.noise(seed) for seed in seeds], dim=1).to(self.device)
            run = partial(self.run_padded, noise=noise, stop=stop, ipr_filter=ipr_filter)
            if self.ensemble:
                restored = ensembled(run, images, holes, progress)
            else:
                restored = run(images, holes, progress)
            return self.task.finish(restored, images, holes).cpu()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise DeviceError(
                f"{self.device} has not enough memory for {len(seeds)} picture(s) of "
                f"{width}×{height}; give smaller pictures or another --device"
            ) from error

    def noise(self, seed: int) -> Tensor:
        """All random numbers of one picture, see `noise_of`."""
        config = self.model.config
        return noise_of(seed, config.ipr_dim, config.timesteps * config.insert_variance)

    def run_padded(
        self,
        images: Tensor,
        holes: Tensor | None,
        progress: Progress | None,
        *,
        noise: Tensor,
        stop: Event | None,
        ipr_filter: Callable[[Tensor], Tensor] | None,
    ) -> Tensor:
        """The network's output for pictures of any size, (B, 3, H·scale, W·scale)."""
        height, width = images.shape[-2:]
        lq = pad_to_multiple(self.task.network_input(images, holes), self.model.config.multiple_of)
        restored = self.run(lq, noise, progress, stop, ipr_filter)
        return restored[..., : height * self.scale, : width * self.scale]

    def run(
        self,
        lq: Tensor,
        noise: Tensor,
        progress: Progress | None,
        stop: Event | None,
        ipr_filter: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Run the network in the chosen precision, again in float32 if bfloat16 overflowed.

        Takes lq (B, C, H, W) and noise (1 or 1 + T, B, 4C'), returns (B, 3, H·scale, W·scale).
        """
        attempt = partial(
            run_network,
            self.model,
            lq,
            noise,
            budget=self.memory,
            progress=progress,
            stop=stop,
            ipr_filter=ipr_filter,
        )
        if self.precision == "bfloat16":
            restored = attempt(dtype=torch.bfloat16)
            if restored.isfinite().all():
                return restored
            logger.warning("bfloat16 gave NaN or infinity; the picture is restored in float32")
        restored = attempt()
        if not restored.isfinite().all():
            raise PictureError("the network gave NaN or infinity; its weights are likely broken")
        return restored


def require_network(model: DiffIRS2, task: Task) -> None:
    """Raise WeightsError for a network that cannot restore for the task."""
    if isinstance(model, DiffIRS1):
        raise WeightsError(
            "a stage-1 network found, which needs the ground truth; give one of stage 2"
        )
    if isinstance(task, str):
        raise WeightsError(f"task {task!r} found; wanted a Task, see diffir.tasks.TASKS")
    dtypes = {str(parameter.dtype) for parameter in model.parameters()} - {"torch.float32"}
    if dtypes:
        raise WeightsError(f"a network in {few(dtypes)} found; convert it with model.float()")
    picture, mask = torch.zeros(1, 3, 1, 1), torch.zeros(1, 1, 1, 1)
    wanted = task.network_input(picture, mask if task.wants_mask else None).shape[1]
    found = model.config.in_channels
    if found != wanted:
        raise WeightsError(
            f"a network with {found} input channels found, but task {task.name} gives {wanted}; "
            "give another network, or the task it was trained for"
        )


def as_bytes(memory: int) -> int:
    """A memory limit as an int; raises DeviceError for invalid values."""
    number = whole(memory)
    if number is None or number < 1:
        raise DeviceError(f"memory {memory!r} found; wanted a number of bytes, such as 2 * 10**9")
    return number


def as_seed(seed: int) -> int:
    """A seed as an int; raises PictureError for values that torch does not accept."""
    number = whole(seed)
    if number is None or not -(2**63) <= number < 2**64:
        raise PictureError(f"seed {seed!r} found; wanted a whole number of at most 64 bits")
    return number


def whole(number: object) -> int | None:
    """An integer of any library as an int; None for other values, including booleans."""
    if isinstance(number, bool | np.bool_):
        return None
    try:
        return operator.index(number)  # type: ignore[arg-type]
    except TypeError:
        return None


def require_batch(images: Tensor, masks: Tensor | None, seeds: Sequence[int]) -> None:
    """Raise PictureError or MaskError for arguments that `restore_batch` does not take."""
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise PictureError(f"images of shape {tuple(images.shape)} found; wanted (B, 3, H, W)")
    if not (images.min() >= 0 and images.max() <= 1):
        raise PictureError(
            f"images from {images.min():g} to {images.max():g} found; wanted numbers from 0 to 1"
        )
    if len(seeds) != len(images):
        raise PictureError(
            f"{len(seeds)} seed(s) for {len(images)} picture(s) found; give one for each"
        )
    wanted = (len(images), 1, *images.shape[2:])
    if masks is not None and masks.shape != wanted:
        raise MaskError(f"masks of shape {tuple(masks.shape)} found; the images need {wanted}")


def as_picture(image: ImageLike, max_pixels: int = MAX_PIXELS) -> Picture:
    """Convert to a Picture; `max_pixels` is for files, see `diffir.images.read`.

    Raises:
        PictureError: when it is not a picture.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, str | Path):
        return read(image, max_pixels=max_pixels)
    if isinstance(image, Image.Image):
        return Picture.from_pil(image)
    if isinstance(image, Tensor):
        image = channels_last(image.detach()).float().cpu().numpy()
    if isinstance(image, np.ndarray):
        return Picture.from_array(image.astype(np.float32) if image.dtype == bool else image)
    raise PictureError(
        f"{type(image).__name__} found; wanted a path, Picture, PIL image, array or tensor"
    )


def channels_last(image: Tensor) -> Tensor:
    """(H, W, C) from (H, W), (C, H, W) or (1, C, H, W) with C 1 or 3; raises PictureError."""
    found = tuple(image.shape)
    if image.ndim == 4 and found[0] == 1:
        image = image[0]
    if image.ndim == 2:
        image = image[None]
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise PictureError(
            f"a tensor of shape {found} found; wanted (3, H, W) in [0, 1], "
            "or use restore_batch for several"
        )
    return image.permute(1, 2, 0)
