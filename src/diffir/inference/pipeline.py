"""Pictures restored in one line, or many by a pipeline, for programs and notebooks."""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Image

from diffir.errors import PictureError, WeightsError
from diffir.images import Picture
from diffir.images.holes import Holes
from diffir.loading import model_for

from .devices import Precision
from .restorer import ImageLike, Restorer, as_picture


def restore(
    image: ImageLike,
    *,
    task: str | None = None,
    model: str | Path | None = None,
    mask: ImageLike | None = None,
    seed: int = 0,
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
        detail: from 0, near the truth, to 1, crisp, see `diffir.load`.
        device: `auto`, `cpu`, `cuda`, `mps` …

    Raises:
        WeightsError: when there are no such weights.
        PictureError, MaskError: when the picture or mask can't be used.
        DeviceError: when the device isn't there, or memory does not suffice.
    """
    return _restorer(named(task, model), device, detail)(image, mask=mask, seed=seed)


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
        masks: Iterable[ImageLike] | None = None,
        seed: int = 0,
        batch_size: int = 1,
    ) -> Iterator[Picture]:
        """Restore picture after picture as they are asked for, each with the same seed.

        Args:
            images: any number, read when their turn comes.
            masks: for inpainting, one for each.
            seed: of the noise.
            batch_size: neighbours of equal size that go through the network together, which is
                faster for very small pictures and may be on a GPU. Results may differ in their
                last bits between sizes of batches.

        Raises:
            PictureError, MaskError, DeviceError: as `restore`, when the picture's turn comes.
        """
        if batch_size < 1:
            raise PictureError(f"batch size {batch_size} found; wanted 1 or more")
        return self._restored(images, masks, seed, batch_size)

    def _restored(
        self,
        images: Iterable[ImageLike],
        masks: Iterable[ImageLike] | None,
        seed: int,
        batch_size: int,
    ) -> Iterator[Picture]:
        opened = (self._opened(image, mask) for image, mask in paired(images, masks))
        for _, equal in groupby(opened, key=lambda one: one[0].pixels.shape[:2]):
            while batch := list(islice(equal, batch_size)):
                pictures, holes = zip(*batch, strict=True)
                yield from self.restorer.restore_pictures(
                    pictures, holes, seeds=[seed] * len(batch)
                )

    def _opened(self, image: ImageLike, mask: ImageLike | None) -> tuple[Picture, Holes | None]:
        picture = as_picture(image)
        return picture, self.restorer.holes(picture, mask)


def named(task: str | None, model: str | Path | None) -> str | Path:
    """The network that is meant by a task or by a model; raises WeightsError for both."""
    if task is not None and model is not None:
        raise WeightsError(f"task {task} and model {model} found; give one of them")
    return model_for(task or "sr") if model is None else model


def paired(
    images: Iterable[ImageLike], masks: Iterable[ImageLike] | None
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
        mask = next(mask_of, None)
        if mask is None:
            raise PictureError("fewer masks than pictures found; give one each")
        yield image, mask
    if next(mask_of, None) is not None:
        raise PictureError("more masks than pictures found; give one each")


@cache
def _restorer(name: str | Path, device: str, detail: float) -> Restorer:
    return Restorer.from_pretrained(name, device=device, detail=detail)
