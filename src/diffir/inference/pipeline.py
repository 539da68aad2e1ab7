"""Restore one picture in one line, or many with a pipeline, in programs and notebooks."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL.Image import Image

from diffir.checkpoints.folder import WEIGHTS_FILE
from diffir.errors import PictureError, WeightsError
from diffir.images import MAX_PIXELS, Picture
from diffir.images.holes import Holes
from diffir.loading import DETAIL, as_detail, model_for

from .devices import Precision
from .restorer import ImageLike, Restorer, as_picture, whole

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
    """Restore one picture; the network is loaded once per process.

    Args:
        image: a path, Picture, PIL image, array or tensor, see `ImageLike`.
        task: `sr` (×4 larger, the default), `deblur` or `inpaint`: the first network of the task
            that has weights on this machine.
        model: a particular network: a preset's name, a weights file, a repository on the Hub.
        mask: for inpainting: white (or transparent) = hole.
        seed: of the noise; the same seed gives the same bits.
        max_pixels: of the largest file to read, see `diffir.images.read`.
        detail: from 0, faithful, to 1, crisp, see `diffir.load`.
        device: `auto`, `cpu`, `cuda`, `mps` …

    Raises:
        WeightsError: when there are no such weights.
        PictureError, MaskError: when the picture or mask cannot be used.
        DeviceError: when the device is not available, or memory does not suffice.
    """
    name = named(task, model)
    restorer = _restorer(name, device, as_detail(detail), files_behind(name))
    return restorer(image, mask=mask, seed=seed, max_pixels=max_pixels)


class Pipeline:
    """A network for many pictures, in the style of other libraries' pipelines.

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
            DeviceError: when the device is not available.
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
        """Restore pictures lazily, each with the same seed.

        Args:
            images: any number; each is read when its turn comes.
            masks: for inpainting, one for each; None means the picture's own transparency.
            seed: of the noise.
            max_pixels: of the largest file to read, see `diffir.images.read`.
            batch_size: the most consecutive pictures of equal size to restore together, which is
                faster for very small pictures and may be so on a GPU. Results may differ in their
                last bits between batch sizes.

        Raises:
            PictureError, MaskError, DeviceError: as `restore`, when the picture's turn comes.
        """
        most = whole(batch_size)
        if most is None or most < 1:
            raise PictureError(f"batch size {batch_size!r} found; wanted a whole number, 1 or more")
        opened = (self._opened(image, mask, max_pixels) for image, mask in paired(images, masks))
        return self._restored(batches(opened, most), seed)

    def _restored(self, together: Iterable[list[Opened]], seed: int) -> Iterator[Picture]:
        for batch in together:
            pictures, holes = zip(*batch, strict=True)
            yield from self.restorer.restore_pictures(pictures, holes, seeds=[seed] * len(batch))

    def _opened(self, image: ImageLike, mask: ImageLike | None, max_pixels: int) -> Opened:
        picture = as_picture(image, max_pixels)
        return picture, self.restorer.holes(picture, mask, max_pixels)


def batches(opened: Iterable[Opened], most: int) -> Iterator[list[Opened]]:
    """Batches of at most `most` consecutive pictures of equal size.

    A full batch is yielded without waiting for the next picture; an error comes after the pictures
    before it.
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
    """The network for a task or a model; raises WeightsError if both are given."""
    if task is not None and model is not None:
        raise WeightsError(f"task {task} and model {model} found; give one of them")
    return model_for(task or "sr") if model is None else model


def paired(
    images: Iterable[ImageLike], masks: Iterable[ImageLike | None] | None
) -> Iterator[tuple[ImageLike, ImageLike | None]]:
    """Each image with its mask; raises PictureError if their numbers differ."""
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
            raise PictureError("fewer masks than pictures found; give one for each") from None
        yield image, mask
    for _ in mask_of:
        raise PictureError("more masks than pictures found; give one for each")


def files_behind(name: str | Path) -> tuple[tuple[str, int, int], ...]:
    """Path, modification time and size of the files that a path names; () for other names."""
    path, found = Path(name), []
    with_detail = path.with_name(f"{path.stem}{DETAIL}{path.suffix}") if path.name else path
    for file in (path, path / WEIGHTS_FILE, with_detail):
        with suppress(OSError):
            status = file.resolve().stat()
            found.append((str(file.resolve()), status.st_mtime_ns, status.st_size))
    return tuple(found)


@lru_cache(maxsize=4)  # each holds a network, and moving a detail slider creates many
def _restorer(
    name: str | Path, device: str, detail: float, _files: tuple[tuple[str, int, int], ...]
) -> Restorer:
    return Restorer.from_pretrained(name, device=device, detail=detail)
