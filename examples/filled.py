"""What inpaint-lite makes of holes: a photo with holes, filled, and the original.

python examples/filled.py docs/filled.jpg
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from diffir.inference import restore

SIDE = 288
LABEL = 24


def holes() -> Image.Image:
    """Scratches, a wire and words, white on black."""
    mask = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(mask)
    draw.line([(0, 40), (130, 90), (288, 60)], fill=255, width=4)
    draw.line([(200, 0), (230, 150), (215, 288)], fill=255, width=6)
    draw.text((20, 200), "in the way", fill=255, font=ImageFont.load_default(size=32))
    draw.ellipse([70, 110, 110, 150], fill=255)
    return mask


def main(target: Path) -> None:
    """Write the sheet."""
    original = np.ascontiguousarray(data.chelsea()[:SIDE, 90 : 90 + SIDE])
    mask = np.asarray(holes())
    bad = np.where(mask[..., None] > 0, np.uint8(255), original)
    sheets = {
        "input": Image.fromarray(bad),
        "inpaint-lite": restore(original, task="inpaint", mask=mask).to_pil(),
        "original": Image.fromarray(original),
    }
    sheet = Image.new("RGB", (3 * SIDE, SIDE + LABEL), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=16)
    for column, (label, image) in enumerate(sheets.items()):
        draw.text((column * SIDE + 4, 2), label, fill="black", font=font)
        sheet.paste(image, (column * SIDE, LABEL))
    sheet.save(target, quality=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
