"""What the usual mistakes with metrics are worth: one photo, one method, many scores.

Scikit-image's astronaut, shrunk by 4 and enlarged again by MATLAB's bicubic.
"""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import data
from torch import Tensor

from diffir.data import imresize
from diffir.data.pixels import round_to_8_bit, to_pixels, to_tensor
from diffir.evaluation.psnr_ssim import psnr, ssim, ssim_volume

SCALE = 4


def by_pillow(image: Tensor) -> Tensor:
    """Pillow's bicubic, which is antialiased as MATLAB's is."""
    side = image.shape[-1] // SCALE
    small = Image.fromarray(to_pixels(image)).resize((side, side), Image.Resampling.BICUBIC)
    return to_tensor(np.array(small))


def by_torch(image: Tensor) -> Tensor:
    """Bicubic of torch and OpenCV: another curve (a = −0.75), and no antialiasing."""
    return F.interpolate(image, scale_factor=1 / SCALE, mode="bicubic", align_corners=False)


def restored(lq: Tensor) -> Tensor:
    """The method that is judged, as a network gives its picture."""
    return imresize(lq, SCALE)


def main() -> None:
    """Print a table of PSNR and SSIM."""
    gt = to_tensor(data.astronaut())
    lq = round_to_8_bit(imresize(gt, 1 / SCALE))
    raw = restored(lq)
    paper = round_to_8_bit(raw)
    y = {"border": SCALE, "y_channel": True}
    rows = {
        "as SR papers: Y, border 4, 8 bits": (psnr(paper, gt, **y), ssim(paper, gt, **y)),
        "RGB instead of Y": (psnr(paper, gt, border=SCALE), ssim(paper, gt, border=SCALE)),
        "no border": (psnr(paper, gt, y_channel=True), ssim(paper, gt, y_channel=True)),
        "not clamped, not rounded": (psnr(raw, gt, **y), ssim(raw, gt, **y)),
        "clamped, not rounded": tuple(f(raw.clamp(0, 1), gt, **y) for f in (psnr, ssim)),
        "RGB, no border (deblurring's PSNR); MATLAB's SSIM of the volume": (
            psnr(paper, gt),
            ssim_volume(paper, gt),
        ),
    }
    for name, shrink in {"Pillow's": by_pillow, "torch's": by_torch}.items():
        other = round_to_8_bit(restored(round_to_8_bit(shrink(gt))))
        rows[f"LQ by {name} bicubic"] = (psnr(other, gt, **y), ssim(other, gt, **y))
    print("| what is compared | PSNR | SSIM |\n| --- | --- | --- |")
    for name, (decibels, similarity) in rows.items():
        print(f"| {name} | {float(decibels):.2f} | {float(similarity):.4f} |")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
