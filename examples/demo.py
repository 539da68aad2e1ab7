"""Reduce a photo to a quarter, restore it with the bundled network, and show both side by side.

python examples/demo.py FOLDER
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from diffir.data import imresize
from diffir.evaluation import psnr, round_to_8_bit
from diffir.images import Picture
from diffir.inference import Restorer

MODEL = "sr-x4-lite"
CROP = (88, 24, 216, 152)  # left, top, right, bottom of the part shown enlarged, in GT pixels


def to_picture(image: torch.Tensor) -> Picture:
    """(1, 3, H, W) to a Picture."""
    return Picture.from_array(image[0].clamp(0, 1).permute(1, 2, 0).float().numpy())


def to_tensor(picture: Picture) -> torch.Tensor:
    """A Picture to (1, 3, H, W)."""
    return torch.from_numpy(picture.pixels.copy()).permute(2, 0, 1)[None]


def side_by_side(pictures: dict[str, Picture]) -> Image.Image:
    """The pictures in a row, each with its label above and a part of it enlarged below."""
    width, height = next(iter(pictures.values())).to_pil().size
    label = 28
    sheet = Image.new("RGB", (width * len(pictures), label + 2 * height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=20)
    for column, (text, picture) in enumerate(pictures.items()):
        image = picture.to_pil()
        part = image.crop(CROP).resize((width, height), Image.Resampling.NEAREST)
        draw.text((column * width + 6, 2), text, fill="black", font=font)
        sheet.paste(image, (column * width, label))
        sheet.paste(part, (column * width, label + height))
    return sheet


def main(folder: Path) -> None:
    """Write the pictures into the folder and print the scores."""
    folder.mkdir(parents=True, exist_ok=True)
    photo = np.ascontiguousarray(data.astronaut()[:384, 64:448])
    gt = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
    lq = round_to_8_bit(imresize(gt, 1 / 4))
    bicubic = round_to_8_bit(imresize(lq, 4))

    restorer = Restorer.from_pretrained(MODEL)
    began = time.monotonic()
    restored = restorer(to_picture(lq), seed=0)
    seconds = time.monotonic() - began

    scores = {
        name: float(psnr(round_to_8_bit(image), gt, border=4, y_channel=True))
        for name, image in (("bicubic", bicubic), ("restored", to_tensor(restored)))
    }
    nearest = lq.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    pictures = {
        f"input, {lq.shape[3]} x {lq.shape[2]}": to_picture(nearest),
        f"bicubic, {scores['bicubic']:.2f} dB": to_picture(bicubic),
        f"{MODEL}, {scores['restored']:.2f} dB": restored,
        "ground truth": to_picture(gt),
    }
    to_picture(lq).save(folder / "input.png")
    to_picture(bicubic).save(folder / "bicubic.png")
    restored.save(folder / "restored.png")
    side_by_side(pictures).save(folder / "side_by_side.png")
    print(f"bicubic  {scores['bicubic']:.2f} dB PSNR on Y")
    print(f"restored {scores['restored']:.2f} dB in {seconds:.1f} s on {restorer.device}")
    print(f"look at {folder / 'side_by_side.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
