"""One photo, made bad, at several settings of `--detail`.

python examples/detail.py docs/detail.jpg
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

MODEL = "real-x4-lite"
SIDE = 224
LABEL = 22
DETAILS = (0.0, 0.5, 1.0)
PARTS = {
    # photo: top and left of the part shown
    data.chelsea: (40, 130),
    data.astronaut: (0, 110),
}


def row(original: Image.Image) -> dict[str, Image.Image]:
    """Input, restored with more and more detail, and original, each (SIDE, SIDE), by label."""
    bad = degraded(Picture.from_pil(original), DEGRADATIONS["published"], 1, 4)
    restored = {
        f"--detail {detail:g}": Restorer.from_pretrained(MODEL, detail=detail)(bad).to_pil()
        for detail in DETAILS
    }
    enlarged = bad.to_pil().resize(original.size, Image.Resampling.BICUBIC)
    return {"input, bicubic": enlarged, **restored, "original": original}


def main(target: Path) -> None:
    """Write the sheet."""
    sheet = Image.new("RGB", ((len(DETAILS) + 2) * SIDE, len(PARTS) * (SIDE + LABEL)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for line, (photo, (top, left)) in enumerate(PARTS.items()):
        part = np.ascontiguousarray(photo()[top : top + SIDE, left : left + SIDE])
        for column, (label, image) in enumerate(row(Image.fromarray(part)).items()):
            draw.text((column * SIDE + 4, line * (SIDE + LABEL) + 3), label, "black", font)
            sheet.paste(image, (column * SIDE, line * (SIDE + LABEL) + LABEL))
    sheet.save(target, quality=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
