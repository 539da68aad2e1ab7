"""From picture bytes to restored picture bytes, identical to those of the command line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event

from diffir.errors import DeviceError, DiffIRError
from diffir.images import Picture, decode, encode
from diffir.images.holes import Holes
from diffir.inference import Restorer

Progress = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Item:
    """A picture to restore, its header checked."""

    picture: bytes = field(repr=False)
    mask: bytes | None = field(default=None, repr=False)
    seed: int = 0
    format: str
    """Of the response."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A decoded picture."""

    item: Item
    picture: Picture
    holes: Holes | None


def restore_items(
    restorer: Restorer, items: Sequence[Item], *, progress: Progress, stop: Event
) -> list[bytes | DiffIRError]:
    """Restore pictures of equal size: for each its file, or its error.

    Raises DeviceError and StoppedError for all of them, as the restorer does.
    """
    found = [decoded(restorer, item) for item in items]
    valid = [picture for picture in found if isinstance(picture, Decoded)]
    restored = iter(run(restorer, valid, progress, stop) if valid else ())
    return [
        picture if isinstance(picture, DiffIRError) else file_of(picture.item, next(restored))
        for picture in found
    ]


def decoded(restorer: Restorer, item: Item) -> Decoded | DiffIRError:
    """A picture and its holes, decoded, or the error."""
    try:
        picture = decode(item.picture, "the picture")
        mask = None if item.mask is None else decode(item.mask, "the mask")
        return Decoded(item=item, picture=picture, holes=restorer.holes(picture, mask))
    except DiffIRError as error:
        return error
    except MemoryError:
        return DeviceError("the server has not enough memory for the picture; send a smaller one")


def run(
    restorer: Restorer, pictures: Sequence[Decoded], progress: Progress, stop: Event
) -> list[Picture]:
    """The restored pictures."""
    return restorer.restore_pictures(
        [one.picture for one in pictures],
        [one.holes for one in pictures],
        seeds=[one.item.seed for one in pictures],
        progress=progress,
        stop=stop,
    )


def file_of(item: Item, restored: Picture) -> bytes | DiffIRError:
    """The bytes of a restored picture, or the error if its format can't hold it."""
    try:
        return encode(restored, f".{item.format}")
    except DiffIRError as error:
        return error
