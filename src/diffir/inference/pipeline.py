"""Pictures restored in one line, or many by a pipeline, for programs and notebooks."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL.Image import Image

from diffir.errors import PictureError, WeightsError
from diffir.images import MAX_PIXELS, Picture
from diffir.images.holes import Holes
from diffir.loading import model_for

from .devices import Precision
from .restorer import ImageLike, Restorer, as_picture

Opened: TypeAlias = tuple[Picture, Holes | None]


def restore(
    image: ImageLike,
    *,
    task: str | None = None,
    model: str | Path | None = None,
    mask: ImageLike | None = None,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
    detail: float = 0.0,
    device: str = "auto",
) -> Picture:
    """Restore one picture; the network is loaded once a process.

    Args:
        image: a path, Picture, PIL image, array or tensor, see `ImageLike`.
        task: `sr` (×4 larger; meant if no model is given either), `deblur` or `inpaint`: the first
            network of the task that has weights here.
        model: another one: a preset's name, a weights file, a repository of the Hub.
        mask: for inpainting: white (or transparent) = hole.
        seed: of the noise; the same seed gives the same bits.
        max_pixels: of the largest file to read, see `diffir.images.read`.
        detail: from 0, near the truth, to 1, crisp, see `diffir.load`.
        device: `auto`, `cpu`, `cuda`, `mps` …

    Raises:
        WeightsError: when there are no such weights.
        PictureError, MaskError: when the picture or mask can't be used.
        DeviceError: when the device isn't there, or memory does not suffice.
    """
    restorer = _restorer(named(task, model), device, detail)
    return restorer(image, mask=mask, seed=seed, max_pixels=max_pixels)


class Pipeline:
    """A network for many pictures, called like those of other libraries.

    pipe = diffir.Pipeline("deblur")
    for picture, name in zip(pipe(names), names):
        picture.save(out / name)
    """

    def __init__(
        self,
        task: str | None = None,
        *,
        model: str | Path | None = None,
        detail: float = 0.0,
        device: str = "auto",
        precision: Precision = "float32",
        memory: int | None = None,
        ensemble: bool = False,
    ) -> None:
        """Load the network; task, model and detail as in `restore`, the rest as in `Restorer`.

        Raises:
            WeightsError: when there are no such weights.
            DeviceError: when the device isn't there.
        """
        self.restorer = Restorer.from_pretrained(
            named(task, model),
            detail=detail,
            device=device,
            precision=precision,
            memory=memory,
            ensemble=ensemble,
        )

    def __call__(
        self,
        images: Iterable[ImageLike],
        *,
        masks: Iterable[ImageLike | None] | None = None,
        seed: int = 0,
        max_pixels: int = MAX_PIXELS,
        batch_size: int = 1,
    ) -> Iterator[Picture]:
        """Restore picture after picture as they are asked for, each with the same seed.

        Args:
            images: any number, read when their turn comes.
            masks: for inpainting, one for each; None is the picture's own transparency.
            seed: of the noise.
            max_pixels: of the largest file to read, see `diffir.images.read`.
            batch_size: neighbours of equal size that go through the network together, which is
                faster for very small pictures and may be on a GPU. Results may differ in their
                last bits between sizes of batches.

        Raises:
            PictureError, MaskError, DeviceError: as `restore`, when the picture's turn comes.
        """
        if batch_size < 1:
            raise PictureError(f"batch size {batch_size} found; wanted 1 or more")
        opened = (self._opened(image, mask, max_pixels) for image, mask in paired(images, masks))
        return self._restored(batches(opened, batch_size), seed)

    def _restored(self, together: Iterable[list[Opened]], seed: int) -> Iterator[Picture]:
        for batch in together:
            pictures, holes = zip(*batch, strict=True)
            yield from self.restorer.restore_pictures(pictures, holes, seeds=[seed] * len(batch))

    def _opened(self, image: ImageLike, mask: ImageLike | None, max_pixels: int) -> Opened:
        picture = as_picture(image, max_pixels)
        return picture, self.restorer.holes(picture, mask, max_pixels)


def batches(opened: Iterable[Opened], most: int) -> Iterator[list[Opened]]:
    """Neighbours of equal size, at most so many together; the last ones come before an error.

    A full batch does not wait for the next picture.
    """
    batch: list[Opened] = []
    try:
        for one in opened:
            if batch and one[0].pixels.shape[:2] != batch[0][0].pixels.shape[:2]:
                yield batch
                batch = []
            batch.append(one)
            if len(batch) == most:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def named(task: str | None, model: str | Path | None) -> str | Path:
    """The network that is meant by a task or by a model; raises WeightsError for both."""
    if task is not None and model is not None:
        raise WeightsError(f"task {task} and model {model} found; give one of them")
    return model_for(task or "sr") if model is None else model


def paired(
    images: Iterable[ImageLike], masks: Iterable[ImageLike | None] | None
) -> Iterator[tuple[ImageLike, ImageLike | None]]:
    """Each image with its mask; raises PictureError where one is missing."""
    one = str | Path | Picture | np.ndarray | torch.Tensor | Image
    if isinstance(images, one):
        raise PictureError("one picture found; give a list of pictures, or call diffir.restore")
    if isinstance(masks, one):
        raise PictureError("one mask found; give a list of masks, one for each picture")
    if masks is None:
        yield from ((image, None) for image in images)
        return
    mask_of = iter(masks)
    for image in images:
        try:
            mask = next(mask_of)
        except StopIteration:
            raise PictureError("fewer masks than pictures found; give one each") from None
        yield image, mask
    for _ in mask_of:
        raise PictureError("more masks than pictures found; give one each")


@lru_cache(maxsize=4)  # each holds a network, and a slider of detail asks for many
def _restorer(name: str | Path, device: str, detail: float) -> Restorer:
    return Restorer.from_pretrained(name, device=device, detail=detail)
