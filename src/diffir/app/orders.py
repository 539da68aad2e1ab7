"""From form input to an order, and from its result to what is shown."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from diffir.errors import MaskError, PictureError
from diffir.images import Header, Picture, decode
from diffir.serving import Settings
from diffir.serving.job import answer_to
from diffir.serving.limits import examine
from diffir.serving.schema import Order

from .desk import within
from .pictures import brushed, pair

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The form input of a visitor."""

    photo: str | None
    """A path, like `mask`."""
    wants_mask: bool
    editor: dict[str, Any] | None
    """The value of Gradio's ImageEditor."""
    mask: str | None
    model: str
    seed: int | None
    memory: str
    own_format: bool


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A restored photo as the page shows it."""

    before: Image.Image
    after: Image.Image
    size: tuple[int, int]
    """Width and height of the file, which may be larger than what is shown."""


def sentence(error: Exception) -> str:
    """The message for the visitor; unexpected errors are logged and not described."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for this photo; choose a smaller one"
    return str(answer_to(error).detail)


def content(path: str | None, what: str, settings: Settings) -> bytes:
    """The bytes of an uploaded file; raises PictureError."""
    if path is None:
        raise PictureError(f"no {what} chosen yet; choose one first")
    try:
        if Path(path).stat().st_size > settings.max_bytes:
            raise PictureError(
                f"the {what} exceeds {settings.max_bytes / 2**20:.0f} MiB; choose a smaller one"
            )
        return Path(path).read_bytes()
    except OSError:  # old uploads are deleted
        raise PictureError(f"the uploaded {what} has expired; choose it again") from None


def decoded(path: str, settings: Settings) -> Picture:
    """The pixels of an upload; raises HTTPException or PictureError."""
    data = content(path, "photo", settings)
    examine(data, "the photo", settings.max_pixels)
    return decode(data, "the photo")


def order_of(asked: Asked, settings: Settings) -> Order:
    """The order for the queue; raises HTTPException or a DiffIRError."""
    photo = content(asked.photo, "photo", settings)
    head = examine(photo, "the photo", settings.max_pixels)
    seed = asked.seed or 0
    if not 0 <= seed <= LARGEST_SEED:
        raise PictureError(f"seed {seed} found; wanted a whole number from 0 to {LARGEST_SEED}")
    return Order(
        picture=photo,
        mask=mask_of(asked, head, settings) if asked.wants_mask else None,
        model=within(asked.model, asked.memory),
        seed=seed,
        format=None if asked.own_format else "png",
    )


def mask_of(asked: Asked, head: Header, settings: Settings) -> bytes | None:
    """The uploaded mask, else the brush strokes, else None, for the photo's transparency."""
    if asked.mask is not None:
        given = content(asked.mask, "mask", settings)
        examine(given, "the mask", settings.max_pixels)
        return given
    layers = asked.editor["layers"] if asked.editor else []
    mask = brushed(layers, head.width, head.height)
    if mask is None and not head.has_alpha:
        raise MaskError("nothing is brushed over yet; brush over what should go, or upload a mask")
    return mask


def shown_of(order: Order, restored: bytes) -> Shown:
    """Before and after, for the slider."""
    most = 2**62  # our own results, of any size
    before, after = decode(order.picture, "the photo"), decode(restored, "", max_pixels=most)
    images = pair(before, after)
    return Shown(before=images[0], after=images[1], size=(after.width, after.height))
