"""What the training data looks like: photos, degraded in every way that `diffir.data` knows.

python examples/degradations.py FILE.jpg
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from skimage import data
from torch import Tensor

from diffir.data import MILD, PUBLISHED, degrade, imresize
from diffir.data.masks import MASKS, mask_set
from diffir.data.motion import MotionSettings, motion_blur

SIDE, LABEL, SEED = 256, 22, (1,)


def photos() -> Tensor:
    """Four square photos, (4, 3, SIDE, SIDE) in [0, 1]."""
    crops = (
        data.astronaut()[:SIDE, 96 : 96 + SIDE],
        data.coffee()[60 : 60 + SIDE, 170 : 170 + SIDE],
        data.chelsea()[20 : 20 + SIDE, 100 : 100 + SIDE],
        data.rocket()[100 : 100 + SIDE, 200 : 200 + SIDE],
    )
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def masked(gt: Tensor, name: str) -> Tensor:
    """The photos with white holes, each of another mask of the set."""
    masks = torch.from_numpy(np.stack(mask_set(len(gt), SIDE, SIDE, MASKS[name], SEED)))[:, None]
    return torch.where(masks > 0, 1.0, gt)


def enlarged(lq: Tensor) -> Tensor:
    """LQ as large as GT, pixel by pixel."""
    return F.interpolate(lq, size=(SIDE, SIDE), mode="nearest")


def rows(gt: Tensor) -> dict[str, Tensor]:
    """Each row of the sheet by its label."""
    return {
        "photos": gt,
        "bicubic, 1/4": enlarged(imresize(gt, 1 / 4).clamp(0, 1)),
        "second order, published, 1/4": enlarged(degrade(gt, 4, PUBLISHED, SEED)),
        "second order, mild, 1/4": enlarged(degrade(gt, 4, MILD, SEED)),
        "camera shake": motion_blur(gt, MotionSettings(), SEED),
        "masks, narrow": masked(gt, "narrow-256"),
        "masks, wide": masked(gt, "wide-256"),
        "masks, everyday": masked(gt, "everyday"),
    }


def main(path: Path) -> None:
    """Write the sheet."""
    sheets = rows(photos())
    sheet = Image.new("RGB", (4 * SIDE, len(sheets) * (SIDE + LABEL)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=16)
    for row, (label, images) in enumerate(sheets.items()):
        top = row * (SIDE + LABEL)
        draw.text((4, top), label, fill="black", font=font)
        pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        for column, image in enumerate(pixels):
            sheet.paste(Image.fromarray(image), (column * SIDE, top + LABEL))
    sheet.save(path, quality=88)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "degradations.jpg"))
