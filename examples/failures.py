"""Where the bundled networks fail: for each a strip of two cases, wrong input beside what came out.

python examples/failures.py docs/failures
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from diffir.data import DEGRADATIONS, MotionBlur
from diffir.data.photo import degraded
from diffir.images import Picture
from diffir.inference import Restorer

SIDE = 224
LABEL = 22
Pixels = NDArray[np.uint8]
Case = tuple[str, Callable[[], tuple[Pixels, dict[str, Any]]]]
"""What is wrong, and the input with what else `Restorer` gets."""


def part(photo: Pixels, top: int, left: int, side: int = SIDE) -> Pixels:
    """A square of a photo, gray as three channels."""
    square = photo[top : top + side, left : left + side]
    return np.ascontiguousarray(square if square.ndim == 3 else np.stack([square] * 3, axis=2))


def made_bad(photo: Pixels, degradation: Any, scale: int = 1, seed: int = 1) -> Pixels:
    """A photo degraded, in bytes."""
    bad = degraded(Picture.from_array(photo), degradation, seed, scale)
    return np.asarray(bad.to_pil())


def reduced(photo: Pixels, scale: int) -> Pixels:
    """A photo made small as the super-resolution networks learnt it."""
    return made_bad(photo, DEGRADATIONS["bicubic"], scale)


def noisy_and_small(scale: int) -> Pixels:
    """A small, noisy photo, which a network of clean ones takes for sharp."""
    clean = reduced(part(data.astronaut(), 0, 110), scale).astype(float)
    noise = np.random.default_rng(0).normal(0, 10, clean.shape)
    return (clean + noise).clip(0, 255).astype(np.uint8)


def wide_hole() -> tuple[Pixels, dict[str, Any]]:
    """A hole over an eye."""
    photo = part(data.chelsea(), 40, 130)
    mask = np.zeros(photo.shape[:2], np.uint8)
    mask[40:110, 70:150] = 255
    return np.where(mask[..., None] > 0, np.uint8(255), photo), {"mask": mask}


def hole_in_a_pattern() -> tuple[Pixels, dict[str, Any]]:
    """A hole in rows of letters."""
    photo = part(data.page(), 0, 60, 190)
    mask = np.zeros(photo.shape[:2], np.uint8)
    mask[60:110, 50:130] = 255
    return np.where(mask[..., None] > 0, np.uint8(255), photo), {"mask": mask}


CASES: dict[str, tuple[Case, Case]] = {
    "sr-x4-lite": (
        ("noise is kept and enlarged", lambda: (noisy_and_small(4), {})),
        ("fine print stays unreadable", lambda: (reduced(part(data.page(), 0, 60, 188), 4), {})),
    ),
    "sr-x2-lite": (
        ("noise is kept and enlarged", lambda: (noisy_and_small(2), {})),
        (
            "motion blur stays",
            lambda: (
                reduced(made_bad(part(data.chelsea(), 40, 130), DEGRADATIONS["motion"]), 2),
                {},
            ),
        ),
    ),
    "real-x4-lite": (
        (
            "fur becomes a painting",
            lambda: (made_bad(part(data.chelsea(), 40, 130), DEGRADATIONS["published"], 4), {}),
        ),
        (
            "clean texture is taken for noise",
            lambda: (reduced(part(data.grass(), 0, 0), 4), {}),
        ),
    ),
    "real-x4-lite-detail": (
        (
            "print becomes bars",
            lambda: (made_bad(part(data.page(), 0, 60, 188), DEGRADATIONS["published"], 4), {}),
        ),
        (
            "fur becomes strokes",
            lambda: (made_bad(part(data.chelsea(), 40, 130), DEGRADATIONS["published"], 4), {}),
        ),
    ),
    "deblur-lite": (
        (
            "long paths leave streaks",
            lambda: (made_bad(part(data.astronaut(), 0, 110), MotionBlur(length=(40, 40))), {}),
        ),
        (
            "print under blur is lost",
            lambda: (
                made_bad(part(data.page(), 0, 60, 188), DEGRADATIONS["motion-uniform"]),
                {},
            ),
        ),
    ),
    "inpaint-lite": (
        ("wide holes become soft", wide_hole),
        ("patterns do not go on", hole_in_a_pattern),
    ),
}


def shown(pixels: Pixels) -> Image.Image:
    """At the sheet's size, without smoothing what is small."""
    image = Image.fromarray(pixels)
    small = image.width < SIDE / 1.9
    how = Image.Resampling.NEAREST if small else Image.Resampling.BICUBIC
    return image.resize((SIDE, SIDE), how)


def strip(model: str) -> Image.Image:
    """Input and result of both cases, side by side."""
    restorer = Restorer.from_pretrained(model)
    sheet = Image.new("RGB", (4 * SIDE, SIDE + LABEL), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for number, (label, case) in enumerate(CASES[model]):
        pixels, options = case()
        left = 2 * number * SIDE
        draw.text((left + 4, 3), label, fill="black", font=font)
        sheet.paste(shown(pixels), (left, LABEL))
        sheet.paste(shown(np.asarray(restorer(pixels, **options).to_pil())), (left + SIDE, LABEL))
    return sheet


def main(folder: Path) -> None:
    """Write a strip a network."""
    folder.mkdir(parents=True, exist_ok=True)
    for model in CASES:
        strip(model).save(folder / f"{model}.jpg", quality=88)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
