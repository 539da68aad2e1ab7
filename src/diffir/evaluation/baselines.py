"""Classical baselines, which any network should beat.

Each maps LQ (B, 3, h, w) in [0, 1] to (B, 3, H, W) in [0, 1].
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from diffir.data import imresize
from diffir.data.kernels import filter2d, gaussian_kernel
from diffir.data.motion import linear_to_srgb, srgb_to_linear
from diffir.data.pixels import to_pixels
from diffir.errors import DataError
from diffir.libraries import needed

LAPLACIAN = ((0.0, -1.0, 0.0), (-1.0, 4.0, -1.0), (0.0, -1.0, 0.0))
TINY = 1e-12


def nearest(lq: Tensor, scale: int) -> Tensor:
    """Nearest-neighbour interpolation."""
    return lq.repeat_interleave(scale, dim=-2).repeat_interleave(scale, dim=-1)


def bicubic(lq: Tensor, scale: int) -> Tensor:
    """MATLAB's imresize, the baseline of SR papers, clipped."""
    return imresize(lq, scale).clamp(0, 1)


def lanczos(lq: Tensor, scale: int) -> Tensor:
    """Pillow's Lanczos filter with three lobes, in float32, clipped."""
    size = (lq.shape[-1] * scale, lq.shape[-2] * scale)
    planes = [
        np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS))
        for plane in rearrange(lq, "b c h w -> (b c) h w").float().cpu().numpy()
    ]
    enlarged = rearrange(np.stack(planes), "(b c) h w -> b c h w", c=lq.shape[1])
    return torch.from_numpy(enlarged).to(lq).clamp(0, 1)


def unsharp_mask(lq: Tensor, sigma: float = 1.5, amount: float = 1.0) -> Tensor:
    """Unsharp masking: add the difference from a Gaussian blur."""
    kernel = gaussian_kernel(2 * round(4 * sigma) + 1, (sigma, sigma))
    blurred = filter2d(lq, kernel.expand(len(lq), -1, -1))
    return (lq + amount * (lq - blurred)).clamp(0, 1)


def transfer(kernel: Tensor, like: Tensor) -> Tensor:
    """The transfer function (H, W/2 + 1) of a kernel (k, k), k odd, for images (…, H, W)."""
    height, width = like.shape[-2:]
    side = len(kernel)
    padded = F.pad(kernel.to(like), (0, width - side, 0, height - side))
    centred = padded.roll((-(side // 2), -(side // 2)), dims=(0, 1))
    return torch.fft.rfft2(centred)


def filtered(image: Tensor, spectrum: Tensor) -> Tensor:
    """(…, H, W), periodic, with its spectrum multiplied by another."""
    return torch.fft.irfft2(torch.fft.rfft2(image) * spectrum, s=image.shape[-2:])


def on_torus(restore: Callable[[Tensor], Tensor], lq: Tensor, kernel: Tensor) -> Tensor:
    """Restore with mirrored borders, so that opposite ones do not blur into each other."""
    margin = min(2 * len(kernel), *(side - 1 for side in lq.shape[-2:]))
    padded = F.pad(lq.double(), [margin] * 4, mode="reflect")
    restored = restore(padded)[..., margin : margin + lq.shape[-2], margin : margin + lq.shape[-1]]
    return restored.to(lq).clamp(0, 1)


def wiener(lq: Tensor, kernel: Tensor, balance: float = 1e-3) -> Tensor:
    """Deconvolution with a known kernel (k, k) in one step (Wiener; Hunt 1973).

    `balance` weights smoothness against fidelity; noisier pictures need more.
    """
    return on_torus(lambda image: wiener_on_torus(image, kernel, balance), lq, kernel)


def wiener_on_torus(image: Tensor, kernel: Tensor, balance: float) -> Tensor:
    """Multiply the spectrum by K* / (|K|² + balance · |∇|²): photos have the spectrum 1 / |∇|²."""
    spectrum = transfer(kernel, image)
    rough = transfer(torch.tensor(LAPLACIAN), image).real  # |∇|²
    return filtered(image, spectrum.conj() / (spectrum.abs() ** 2 + balance * rough))


def richardson_lucy(lq: Tensor, kernel: Tensor, steps: int = 30) -> Tensor:
    """Iterative, positive deconvolution with a known kernel (k, k) (1972, 1974)."""
    return on_torus(lambda image: richardson_lucy_on_torus(image, kernel, steps), lq, kernel)


def richardson_lucy_on_torus(image: Tensor, kernel: Tensor, steps: int) -> Tensor:
    """Iterate x ← x · Kᵀ(y / Kx), from gray."""
    spectrum = transfer(kernel, image)
    restored = torch.full_like(image, 0.5)
    for _ in range(steps):
        ratio = image / filtered(restored, spectrum).clamp_min(TINY)
        restored = restored * filtered(ratio, spectrum.conj())
    return restored


def in_light(deconvolve: Callable[[Tensor, Tensor], Tensor], lq: Tensor, kernel: Tensor) -> Tensor:
    """Deconvolve in linear light, where the blur happened."""
    return linear_to_srgb(deconvolve(srgb_to_linear(lq), kernel))


def telea(lq: Tensor, mask: Tensor) -> Tensor:
    """Fill holes, mask (B, 1, H, W) = 1, from their rim inwards (Telea 2004), with OpenCV."""
    return filled_by_opencv(lq, mask, "INPAINT_TELEA")


def navier_stokes(lq: Tensor, mask: Tensor) -> Tensor:
    """Fill holes along isophotes (Bertalmio et al. 2001), with OpenCV."""
    return filled_by_opencv(lq, mask, "INPAINT_NS")


def filled_by_opencv(lq: Tensor, mask: Tensor, method: str) -> Tensor:
    """In 8 bits, with OpenCV's usual radius of 3.

    Raises:
        MissingLibraryError: when OpenCV is not installed.
    """
    with needed("evaluation", "this baseline"):
        import cv2
    filled = [
        np.asarray(cv2.inpaint(to_pixels(image[None].cpu()), hole, 3, getattr(cv2, method)))
        for image, hole in zip(lq, holes(mask), strict=True)
    ]
    return pasted(np.stack(filled) / 255, lq, mask)


def biharmonic(lq: Tensor, mask: Tensor) -> Tensor:
    """Fill holes by the biharmonic equation (Damelin & Hoang 2018), with scikit-image.

    Raises:
        MissingLibraryError: when scikit-image is not installed.
    """
    with needed("evaluation", "this baseline"):
        from skimage.restoration import inpaint_biharmonic
    filled = [
        inpaint_biharmonic(image.permute(1, 2, 0).numpy(), hole, channel_axis=-1)
        for image, hole in zip(lq.cpu().double(), holes(mask), strict=True)
    ]
    return pasted(np.stack(filled), lq, mask)


def pasted(filled: NDArray[np.floating], lq: Tensor, mask: Tensor) -> Tensor:
    """(B, H, W, 3) in [0, 1] inside the holes, and LQ outside."""
    inside = torch.from_numpy(filled).permute(0, 3, 1, 2).to(lq).clamp(0, 1)
    return torch.where(mask > 0.5, inside, lq)


def holes(mask: Tensor) -> list[NDArray[np.uint8]]:
    """Masks (B, 1, H, W) as uint8 (H, W), 1 = hole; DataError if nothing is known."""
    found = [*(mask[:, 0] > 0.5).to(torch.uint8).cpu().numpy()]
    if any(hole.all() for hole in found):
        raise DataError(
            "the whole picture is hole, so there is nothing to fill it from; give a larger "
            "picture, or another --degradation"
        )
    return found


ENLARGEMENTS = {"nearest": nearest, "bicubic": bicubic, "lanczos": lanczos}
"""(lq, scale) → restored."""
DECONVOLUTIONS = {
    "wiener": partial(in_light, partial(wiener, balance=3e-2)),
    "richardson_lucy": partial(in_light, partial(richardson_lucy, steps=20)),
}
"""(lq, kernel) → restored, for kernels of `MotionBlur`; balance and steps suit its noise."""
FILLINGS = {"telea": telea, "navier_stokes": navier_stokes, "biharmonic": biharmonic}
"""(lq, mask) → restored."""
