"""The value of the IPR to a network: how well it is estimated, and the cost of a wrong one.

A restorer that has learnt to ignore Z scores the same with any Z, and a Z that hardly differs
between pictures has no information; neither is visible in the network's PSNR.
"""

from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor

from diffir.data import Batch
from diffir.model import DiffIRS1, DiffIRS2

from .protocol import guessed_ipr_steps, placed, restored_with, score, true_ipr

MOST_PICTURES = 8  # each needs two or three more passes of DIRformer


def ipr_statistics(
    network: DiffIRS1 | DiffIRS2, teacher: DiffIRS1 | None, pairs: Sequence[Batch]
) -> dict[str, float]:
    """Scores by name, over the given pairs; empty for stage 2 without a teacher.

    - `ipr/distance_1` to `ipr/distance_T` (stage 2): mean |Ẑ − Z| after each reverse step.
    - `psnr_true` (stage 2): PSNR in dB with the teacher's Z.
    - `psnr_other`, `psnr_mean`: with the next picture's Z and with the mean Z of all.
    - `ipr/spread`: standard deviation of Z over the pictures, divided by mean |Z|.

    Z is stage 1's own or the teacher's. The last three need two pictures. Pairs may be on the CPU;
    they are moved to the network's device one by one.
    """
    reader = network if isinstance(network, DiffIRS1) else teacher
    if reader is None:
        return {}
    device = next(network.parameters()).device
    true = torch.stack([true_ipr(reader, placed(pair, device)) for pair in pairs])  # (N, 1, 4C')
    statistics, iprs = dict[str, float](), dict[str, Tensor]()
    if isinstance(network, DiffIRS2):
        steps = [guessed_ipr_steps(network, placed(pair, device)) for pair in pairs]
        statistics |= distances(torch.stack(steps), true)
        iprs["psnr_true"] = true
    if len(pairs) > 1:
        statistics["ipr/spread"] = float(true.std(dim=0).mean() / true.abs().mean())
        iprs["psnr_other"] = true.roll(-1, dims=0)
        iprs["psnr_mean"] = true.mean(dim=0, keepdim=True).expand_as(true)
    for name, handed in iprs.items():
        statistics[name] = mean_psnr(handed, network, pairs)
    return statistics


def distances(guessed: Tensor, true: Tensor) -> dict[str, float]:
    """Mean |Ẑ − Z| after each step; guessed (N, steps, 1, 4C'), true (N, 1, 4C')."""
    steps = (guessed - true[:, None]).abs().mean(dim=(0, 2, 3))
    return {f"ipr/distance_{step}": value for step, value in enumerate(steps.tolist(), 1)}


def mean_psnr(iprs: Tensor, network: DiffIRS1 | DiffIRS2, pairs: Sequence[Batch]) -> float:
    """Mean PSNR in dB of pictures, each restored with its IPR in (N, 1, 4C')."""
    values = []
    for pair, ipr in zip(pairs, iprs, strict=True):
        here = placed(pair, iprs.device)
        values.append(score(restored_with(ipr, network, here), here, network.config.scale))
    return fmean(values)
