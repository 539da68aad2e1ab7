"""The protocol for scoring a network on a pair: whole pictures in 8 bits, as in its task's papers.

Super-resolution on Y without a border of `scale` pixels; deblurring on RGB; inpainting on RGB only
in the hole.
"""

import torch
from torch import Tensor

from diffir.data import Batch
from diffir.data.pixels import round_to_8_bit
from diffir.inference.network import noise_of
from diffir.inference.padding import pad_to_multiple
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2

from .pairs import SEED
from .psnr_ssim import psnr


def placed(pair: Batch, device: torch.device) -> Batch:
    """The pair on a device."""
    return pair.map(lambda tensor: tensor.to(device))


def true_ipr(network: DiffIRS1, pair: Batch) -> Tensor:
    """Z from the ground truth, (1, 4C')."""
    multiple = network.config.multiple_of
    return network.extract_ipr(
        pad_to_multiple(pair.lq, multiple),
        pad_to_multiple(pair.gt, multiple * network.config.scale),
    )


def guessed_ipr_steps(network: DiffIRS2, pair: Batch, seed: int = SEED) -> Tensor:
    """Ẑ after each reverse step from the noise of a seed, as when restoring; (steps, 1, 4C')."""
    lq = pad_to_multiple(pair.lq, network.config.multiple_of)
    start, step_noise = noise_for(network.config, seed)
    return network.estimate_ipr_steps(
        lq, start.to(lq), None if step_noise is None else step_noise.to(lq)
    )


def noise_for(config: DiffIRConfig, seed: int = SEED) -> tuple[Tensor, Tensor | None]:
    """Initial noise (1, 4C'), and (T, 1, 4C') for a chain with inserted variance.

    It is the same for every picture, that of the Restorer's seed.
    """
    steps = config.timesteps * config.insert_variance
    noise = noise_of(seed, config.ipr_dim, steps)[:, None]
    return noise[0], noise[1:] if config.insert_variance else None


def own_ipr(network: DiffIRS1 | DiffIRS2, pair: Batch) -> Tensor:
    """The IPR that a network restores with, (1, 4C'): the true Z in stage 1, otherwise Ẑ."""
    if isinstance(network, DiffIRS1):
        return true_ipr(network, pair)
    return guessed_ipr_steps(network, pair)[-1]


def restored_with(ipr: Tensor, network: DiffIRS1 | DiffIRS2, pair: Batch) -> Tensor:
    """Restore a pair with an IPR (1, 4C'): (1, 3, H, W) rounded to 8 bits."""
    restored = network.dirformer(pad_to_multiple(pair.lq, network.config.multiple_of), ipr)
    height, width = pair.gt.shape[-2:]
    return round_to_8_bit(restored[..., :height, :width])


def score(restored: Tensor, pair: Batch, scale: int) -> float:
    """PSNR in dB, in float64 on the CPU, since MPS has no float64."""
    restored, pair = restored.cpu(), placed(pair, torch.device("cpu"))
    enlarged = scale > 1
    border = scale if enlarged else 0
    values = psnr(restored, pair.gt, border=border, y_channel=enlarged, mask=pair.mask)
    return float(values)
