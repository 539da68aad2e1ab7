"""What the bundled networks make of photos that were made bad: a row a network.

python examples/gallery.py docs/gallery.jpg
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from diffir.data import DEGRADATIONS
from diffir.data.photo import degraded
from diffir.images import Picture
from diffir.inference import Restorer

SIDE = 288
LABEL = 24
ROWS = {
    # model: (degradation, scale, photo, top and left of the part shown)
    "real-x4-lite": ("published", 4, data.chelsea, (0, 90)),
    "deblur-lite": ("motion-uniform", 1, data.coffee, (60, 210)),
}


def large(picture: Picture, scale: int) -> Image.Image:
    """As a viewer would show it at the size of the original."""
    image = picture.to_pil()
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)


def row(model: str, seed: int = 1) -> dict[str, Image.Image]:
    """Degraded, restored and original, each (SIDE, SIDE), by label."""
    name, scale, photo, (top, left) = ROWS[model]
    original = np.ascontiguousarray(photo()[top : top + SIDE, left : left + SIDE])
    bad = degraded(Picture.from_array(original), DEGRADATIONS[name], seed, scale)
    better = Restorer.from_pretrained(model)(bad)
    return {
        f"input ({name})": large(bad, scale),
        model: better.to_pil(),
        "original": Image.fromarray(original),
    }


def main(target: Path) -> None:
    """Write the sheet."""
    sheet = Image.new("RGB", (3 * SIDE, len(ROWS) * (SIDE + LABEL)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=16)
    for line, model in enumerate(ROWS):
        top = line * (SIDE + LABEL)
        for column, (label, image) in enumerate(row(model).items()):
            draw.text((column * SIDE + 4, top + 2), label, fill="black", font=font)
            sheet.paste(image, (column * SIDE, top + LABEL))
    sheet.save(target, quality=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
