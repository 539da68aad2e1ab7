"""PSNR and SSIM by the protocol of SR papers: 8-bit pictures, RGB or Y, without a border."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from diffir.errors import DataError

WINDOW, WINDOW_SIGMA = 11, 1.5  # of SSIM
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def to_y(rgb: Tensor) -> Tensor:
    """BT.601 luma of (B, 3, H, W) in [0, 1] as in MATLAB's rgb2ycbcr: 16 to 235, (B, 1, H, W)."""
    weights = rgb.new_tensor([65.481, 128.553, 24.966])
    return 16 + (rgb * weights[:, None, None]).sum(dim=1, keepdim=True)


def without_border(image: Tensor, border: int) -> Tensor:
    """Crop `border` pixels from every side of (…, H, W).

    Raises:
        DataError: when that leaves nothing.
    """
    height, width = image.shape[-2:]
    if min(height, width) <= 2 * border:
        raise DataError(f"a border of {border} leaves nothing of a {width}×{height} picture")
    return image[..., border : height - border, border : width - border]


def as_compared(image: Tensor, border: int, y_channel: bool) -> Tensor:
    """(B, 3, H, W) in [0, 1] as compared: 0 to 255 in float64, RGB or Y."""
    image = without_border(image, border).double()
    return to_y(image) if y_channel else 255 * image


def require_equal(restored: Tensor, gt: Tensor) -> None:
    """Raise ValueError for tensors of different shapes."""
    if restored.shape != gt.shape:
        raise ValueError(
            f"restored is {tuple(restored.shape)} and gt {tuple(gt.shape)}; must be equal"
        )


def require_side(image: Tensor, least: int, metric: str) -> None:
    """Raise DataError for pictures with a side below `least`."""
    height, width = image.shape[-2:]
    if min(height, width) < least:
        raise DataError(f"a picture of {width}×{height} found; {metric} needs {least}×{least}")


def psnr(
    restored: Tensor,
    gt: Tensor,
    *,
    border: int = 0,
    y_channel: bool = False,
    mask: Tensor | None = None,
) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture, (B,), computed in float64.

    Args:
        restored: (B, 3, H, W) in [0, 1]; to compare files, round it to 8 bits first.
        gt: the same shape.
        border: pixels cropped from every side, usually the scale.
        y_channel: compare only luma, as SR papers do.
        mask: (B, 1, H, W), 1 = hole; only the hole is compared.

    Raises:
        ValueError: when the shapes differ.
        DataError: when the border leaves nothing, or a mask has no hole.
    """
    require_equal(restored, gt)
    difference = as_compared(restored, border, y_channel) - as_compared(gt, border, y_channel)
    squares = difference.square().mean(dim=1, keepdim=True)  # (B, 1, H, W)
    weights = torch.ones_like(squares) if mask is None else without_border(mask, border).double()
    if mask is not None and not weights.flatten(1).any(1).all():
        raise DataError("a mask without a hole found; PSNR in the hole needs one in every picture")
    error = (squares * weights).sum(dim=(1, 2, 3)) / weights.sum(dim=(1, 2, 3))
    return 20 * math.log10(255) - 10 * torch.log10(error)


def local_mean(x: Tensor, dims: Sequence[int]) -> Tensor:
    """Means under a Gaussian window (length 11, σ 1.5), without padding: `dims` lose 10."""
    line = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-line.square() / (2 * WINDOW_SIGMA**2))
    weights = weights / weights.sum()
    for dim in dims:  # the window is separable
        length = x.shape[dim] - WINDOW + 1
        shifted = (w * x.narrow(dim, i, length) for i, w in enumerate(weights.tolist()))
        x = sum(shifted, torch.zeros((), dtype=x.dtype, device=x.device))
    return x


def similarity(x: Tensor, y: Tensor, dims: Sequence[int]) -> Tensor:
    """Mean SSIM (Wang et al. 2004) of (B, C, H, W) in 0..255 under windows along `dims`, (B,)."""
    mean_x, mean_y = local_mean(x, dims), local_mean(y, dims)
    squares = mean_x.square() + mean_y.square()
    variances = local_mean(x.square() + y.square(), dims) - squares
    covariance = local_mean(x * y, dims) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (squares + C1)
    return (luminance * (2 * covariance + C2) / (variances + C2)).mean(dim=(1, 2, 3))


def ssim(restored: Tensor, gt: Tensor, *, border: int = 0, y_channel: bool = False) -> Tensor:
    """Structural similarity of each picture, (B,), computed in float64.

    As in the authors' MATLAB code: an 11 × 11 Gaussian window, population variances, no padding;
    for RGB, the mean over channels. Arguments and errors as `psnr`; DataError for pictures smaller
    than 11 × 11.
    """
    require_equal(restored, gt)
    x, y = (as_compared(image, border, y_channel) for image in (restored, gt))
    require_side(x, WINDOW, "SSIM")
    return similarity(x, y, dims=(-2, -1))


def ssim_volume(restored: Tensor, gt: Tensor) -> Tensor:
    """SSIM of an RGB array as in MATLAB's `ssim`, (B,), used in the tables of deblurring papers.

    The colours are the third dimension of a volume, under an 11 × 11 × 11 window with replicated
    borders. Raises ValueError when the shapes differ.
    """
    require_equal(restored, gt)
    x, y = (
        F.pad(as_compared(image, 0, False)[:, None], [WINDOW // 2] * 6, mode="replicate")[:, 0]
        for image in (restored, gt)
    )
    return similarity(x, y, dims=(-3, -2, -1))
