"""Pictures reduced to what a screen can show, and masks from brush strokes."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffir.images import Picture, encode

SCREEN = 2400
"""The longer side of what is shown; downloads are never reduced."""


def shown(picture: Picture) -> Image.Image:
    """The picture in RGB or RGBA of 8 bits, no larger than `SCREEN`."""
    image = picture.to_pil()
    image.thumbnail((SCREEN, SCREEN), Image.Resampling.LANCZOS)
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def pair(before: Picture, after: Picture) -> tuple[Image.Image, Image.Image]:
    """Both at the size that the second has on the screen, so that they overlap exactly."""
    larger = shown(after)
    return shown(before).resize(larger.size, Image.Resampling.BICUBIC), larger


def png(image: Image.Image) -> bytes:
    """An image as the bytes of a PNG."""
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def brushed(layers: Sequence[NDArray[np.uint8]], width: int, height: int) -> bytes | None:
    """A mask (PNG, white = hole) from strokes (H, W, 4) on a reduced picture; None: no stroke."""
    strokes: Any = [Image.fromarray(layer[..., 3]).resize((width, height), 0) for layer in layers]
    holes = np.zeros((height, width), bool)
    for stroke in strokes:
        holes |= np.asarray(stroke) > 0
    mask = np.where(holes, np.uint8(255), np.uint8(0))
    return encode(Picture.from_array(mask), ".png") if holes.any() else None
