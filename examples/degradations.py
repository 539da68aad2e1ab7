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

from diffir.data import DEGRADATIONS, MASKS, DeadLeaves, Draws, dead_leaves
from diffir.data.draws import generator
from diffir.data.masks import mask_set
from diffir.data.motion import average_frames
from diffir.data.photo import to_lq

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
    masks = torch.from_numpy(np.stack([*mask_set(len(gt), SIDE, SIDE, MASKS[name], SEED)]))[:, None]
    return torch.where(masks > 0, 1.0, gt)


def degraded(gt: Tensor, name: str, scale: int = 1) -> Tensor:
    """The photos by a degradation that has a name, enlarged pixel by pixel."""
    lq = to_lq(gt, DEGRADATIONS[name], scale, Draws(SEED, tuple(range(len(gt)))))
    return F.interpolate(lq, size=(SIDE, SIDE), mode="nearest")


def filmed(gt: Tensor, frames: int = 13, step: int = 1) -> Tensor:
    """The photos as frames of a film, past which the camera moves, added up as light."""
    wide = F.pad(gt, (frames * step, 0, 0, 0), mode="replicate")
    views = [wide[..., step * i : step * i + SIDE] for i in range(frames)]
    return average_frames(torch.stack(views))


def leaves(count: int) -> Tensor:
    """Pictures that nobody took."""
    drawn = [
        dead_leaves(SIDE, SIDE, DeadLeaves(), generator(SEED, "example", index))
        for index in range(count)
    ]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 255


def rows(gt: Tensor) -> dict[str, Tensor]:
    """Each row of the sheet by its label."""
    return {
        "photos": gt,
        "bicubic, 1/4": degraded(gt, "bicubic", 4),
        "second order, published, 1/4": degraded(gt, "published", 4),
        "second order, mild, 1/4": degraded(gt, "mild", 4),
        "motion: camera shake": degraded(gt, "motion"),
        "phone: camera shake and JPEG": degraded(gt, "phone"),
        "blur-video: thirteen frames averaged": filmed(gt),
        "masks, narrow": masked(gt, "narrow-256"),
        "masks, medium": masked(gt, "medium-256"),
        "masks, wide": masked(gt, "wide-256"),
        "masks, everyday": masked(gt, "everyday"),
        "dead leaves: no photo at all": leaves(len(gt)),
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
