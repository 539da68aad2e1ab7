"""Validation while training: the PSNR of a network on whole pictures, by the protocol of its task.

Super-resolution on Y without a border of `scale` pixels, as its papers have it; deblurring on RGB;
inpainting on RGB in the hole alone.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from diffir.data import Batch, Degradation, Draws, data_sets
from diffir.data.pixels import round_to_8_bit, to_tensor
from diffir.data.sets import entries_of_sets
from diffir.data.sources import one_of
from diffir.errors import DataError
from diffir.inference.padding import pad_to_multiple
from diffir.model import DiffIRS1, DiffIRS2

from .psnr_ssim import psnr

SEED = 0  # of the degradation and of the starting noise, so that scores differ by the network alone


def validation_pairs(words: Iterable[str], degradation: Degradation, scale: int) -> list[Batch]:
    """A pair of every picture: its own LQ, or one made of it, always the same; (1, C, H, W) each.

    Raises:
        DataError: when there is no picture, none large enough, or a bad one: scores of fewer
            pictures could not be compared.
        PictureError: when one can't be decoded.
    """
    entries, unfit = entries_of_sets(data_sets(words), scale)
    if unfit:
        raise DataError(one_of(unfit))
    margin = degradation.margin(scale)
    pairs = []
    for index, entry in enumerate(entries):
        gt = to_tensor(entry.gt.pixels())
        height, width = (side - side % scale for side in gt.shape[-2:])
        gt = gt[..., :height, :width]
        if entry.lq is not None:
            pairs.append(Batch(lq=to_tensor(entry.lq.pixels()), gt=gt))
        elif min(height, width) > 2 * (margin + scale):
            pairs.append(degradation.batch(gt, scale, Draws((SEED,), (index,))))
    if not pairs:
        raise DataError("no picture to validate on found; name a folder of larger ones")
    return pairs


def validator(
    words: Iterable[str], degradation: Degradation, scale: int
) -> Callable[[nn.Module], dict[str, float]]:
    """A function that scores a network of either stage; raises as `validation_pairs`."""
    pairs = validation_pairs(words, degradation, scale)

    @torch.no_grad()
    def validate(network: nn.Module) -> dict[str, float]:
        device = next(network.parameters()).device
        values = []
        for pair in pairs:
            here = pair.map(lambda tensor: tensor.to(device))
            values.append(score(round_to_8_bit(restored_by(network, here)), here, scale))
        return {"psnr": float(torch.stack(values).mean())}

    return validate


def restored_by(network: nn.Module, pair: Batch) -> Tensor:
    """What a network of either stage makes of a pair, (1, 3, H, W); stage 1 sees GT."""
    assert isinstance(network, DiffIRS1 | DiffIRS2)
    multiple, scale = network.config.multiple_of, network.config.scale
    lq = pad_to_multiple(pair.lq, multiple)
    if isinstance(network, DiffIRS1):
        restored = network(lq, pad_to_multiple(pair.gt, multiple * scale))
    else:
        noise = torch.randn(
            1, network.config.ipr_dim, generator=torch.Generator().manual_seed(SEED)
        )
        restored = network(lq, noise.to(lq))
    return restored[..., : pair.gt.shape[-2], : pair.gt.shape[-1]]


def score(restored: Tensor, pair: Batch, scale: int) -> Tensor:
    """PSNR in dB, float64."""
    if pair.mask is not None:
        squares = (restored.double() - pair.gt.double()).square() * pair.mask
        return -10 * torch.log10(squares.sum() / (3 * pair.mask.double().sum()))
    return psnr(restored, pair.gt, border=scale if scale > 1 else 0, y_channel=scale > 1)[0]
