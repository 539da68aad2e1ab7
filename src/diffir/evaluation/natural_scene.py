"""The features of NIQE: natural-scene statistics of a picture's luma, block by block.

In good photos, luma minus its local mean and divided by its local deviation is nearly Gaussian, and
neighbours are correlated in a known way (Mittal et al. 2013). The constants are those of the
authors' MATLAB code, which, unlike the paper, uses an asymmetric fit for the values themselves,
too. N blocks of 96 × 96 pixels with 36 features each: 18 at each of two resolutions.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from diffir.data import imresize
from diffir.errors import DataError

from .psnr_ssim import to_y

BLOCK = 96
WINDOW_SIDE, WINDOW_SIGMA = 7, 7 / 6
FEATURES = 36
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # down, right
SHAPES = torch.arange(200, 10001, dtype=torch.float64) / 1000  # candidates for α


def window() -> Tensor:
    """The Gaussian window (7, 7) of local means and deviations."""
    line = torch.arange(WINDOW_SIDE, dtype=torch.float64) - WINDOW_SIDE // 2
    weights = torch.exp(-line.square() / (2 * WINDOW_SIGMA**2))
    weights = weights / weights.sum()
    return weights[:, None] * weights


def local_mean(x: Tensor) -> Tensor:
    """Windowed means of (1, 1, H, W); borders are replicated."""
    padded = F.pad(x, [WINDOW_SIDE // 2] * 4, mode="replicate")
    return F.conv2d(padded, window().to(x)[None, None])


def normalised(luma: Tensor) -> tuple[Tensor, Tensor]:
    """Luma (1, 1, H, W) minus its local mean, divided by its local deviation; and the latter."""
    mean = local_mean(luma)
    deviation = (local_mean(luma.square()) - mean.square()).abs().sqrt()
    return (luma - mean) / (deviation + 1), deviation


def in_blocks(x: Tensor, side: int) -> Tensor:
    """(1, 1, H, W) to (N, side, side)."""
    return rearrange(x, "1 1 (m h) (n w) -> (m n) h w", h=side, w=side)


def gamma(x: Tensor) -> Tensor:
    """Γ(x) of positive x."""
    return torch.lgamma(x).exp()


def moment_ratio(shape: Tensor) -> Tensor:
    """(E|x|)² / E x² of a generalised Gaussian of shape α: Γ(2/α)² / (Γ(1/α) Γ(3/α))."""
    return gamma(2 / shape).square() / (gamma(1 / shape) * gamma(3 / shape))


def nearest_shape(ratio: Tensor) -> Tensor:
    """The α among `SHAPES` whose moment ratio is nearest; NaN stays."""
    ratios = moment_ratio(SHAPES)  # they rise with α
    above = torch.searchsorted(ratios, ratio.nan_to_num()).clamp(1, len(ratios) - 1)
    below = above - 1
    nearer = torch.where(ratio - ratios[below] <= ratios[above] - ratio, below, above)
    return torch.where(ratio.isnan(), ratio, SHAPES[nearer])


def fit_asymmetric(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shape α and scales β left and right of an asymmetric generalised Gaussian, (N,) each.

    By the moments of x (N, …) (Lasmar et al. 2009). NaN if a side has no value.
    """
    x = x.flatten(1)
    squares = x.square()
    left, right = (
        ((squares * side).sum(dim=1) / side.sum(dim=1)).sqrt() for side in (x < 0, x > 0)
    )
    skew = left / right
    ratio = x.abs().mean(dim=1).square() / squares.mean(dim=1)
    ratio = ratio * (skew**3 + 1) * (skew + 1) / (skew.square() + 1).square()
    shape = nearest_shape(ratio)
    scale = (gamma(1 / shape) / gamma(3 / shape)).sqrt()
    return shape, left * scale, right * scale


def block_features(blocks: Tensor) -> Tensor:
    """Shapes and scales of the values of blocks (N, h, w) and of four products: (N, 18).

    The products are of neighbours, with periodic borders; their means are features, too.
    """
    shape, left, right = fit_asymmetric(blocks)
    features = [shape, (left + right) / 2]
    for shift in NEIGHBOURS:
        shape, left, right = fit_asymmetric(blocks * blocks.roll(shift, dims=(1, 2)))
        mean = (right - left) * gamma(2 / shape) / gamma(1 / shape)
        features += [shape, mean, left, right]
    return torch.stack(features, dim=1)


def picture_features(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Features (N, 36) and sharpness (N,) of the blocks of a picture (1, 3, H, W) in [0, 1].

    Incomplete blocks at the right and bottom are ignored.

    Raises:
        DataError: when there are fewer than two blocks, which have no covariance.
    """
    height, width = (side - side % BLOCK for side in picture.shape[-2:])
    if height * width < 2 * BLOCK**2:
        raise DataError(
            f"a picture of {picture.shape[-1]}×{picture.shape[-2]} found; "
            f"NIQE needs at least two blocks of {BLOCK}×{BLOCK}"
        )
    # Rounded and in float64 on the CPU, as in MATLAB
    luma = to_y(picture[..., :height, :width].cpu().double()).round()
    full, deviation = normalised(luma)
    half, _ = normalised(imresize(luma, 0.5))
    features = [block_features(in_blocks(full, BLOCK)), block_features(in_blocks(half, BLOCK // 2))]
    return torch.cat(features, dim=1), in_blocks(deviation, BLOCK).mean(dim=(1, 2))
