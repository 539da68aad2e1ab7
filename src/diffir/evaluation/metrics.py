"""The metrics that have a name, and opening those whose files are on this machine."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from diffir.errors import DataError, WeightsError

from .dists import load_dists
from .fid import load_fid
from .lpips import load_lpips_alexnet, load_lpips_vgg
from .niqe import load_niqe
from .psnr_ssim import psnr, ssim, ssim_volume

Score = Callable[..., Tensor]
"""Of `restored` (B, 3, H, W) in [0, 1], and by name of what the metric needs beside it, to (B,).

A metric of sets takes iterables of such tensors instead, and gives one number ().
"""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What to know of a metric before it is opened."""

    better: Literal["higher", "lower"]
    needs: tuple[Literal["gt", "mask"], ...] = ("gt",)
    """Beside restored: gt (B, 3, H, W); mask (B, 1, H, W), 1 = hole."""
    of_sets: bool = False
    """Whether it judges sets of pictures and not each."""
    open: Callable[[Path | None], Score]
    """With the folder of weights that is searched first; raises WeightsError."""


def always(score: Score) -> Callable[[Path | None], Score]:
    """The opening of a metric that needs no file."""
    return lambda weights_dir: score


METRICS = {
    "psnr": Metric(better="higher", open=always(psnr)),
    "psnr_y": Metric(better="higher", open=always(partial(psnr, y_channel=True))),
    "psnr_hole": Metric(better="higher", needs=("gt", "mask"), open=always(psnr)),
    "ssim": Metric(better="higher", open=always(ssim)),
    "ssim_y": Metric(better="higher", open=always(partial(ssim, y_channel=True))),
    "ssim_volume": Metric(better="higher", open=always(ssim_volume)),
    "lpips_alex": Metric(better="lower", open=load_lpips_alexnet),
    "lpips_vgg": Metric(better="lower", open=load_lpips_vgg),
    "dists": Metric(better="lower", open=load_dists),
    "fid": Metric(better="lower", of_sets=True, open=load_fid),
    "niqe": Metric(better="lower", needs=(), open=load_niqe),
}
"""By name. A border is cut off before (`without_border`); files are compared in 8 bits, so round
what a network gives first (`round_to_8_bit`)."""


def open_metrics(
    names: Iterable[str],
    weights_dir: Path | None = None,
    device: torch.device | str = "cpu",
) -> tuple[dict[str, Score], dict[str, str]]:
    """The metrics that can be had, on a device; and for each other one the sentence that says why.

    Raises:
        DataError: when there is no metric of a name.
    """
    available, unavailable = {}, {}
    for name in names:
        try:
            score = known(name).open(weights_dir)
        except WeightsError as error:
            unavailable[name] = str(error)
        else:
            available[name] = score.to(device) if isinstance(score, nn.Module) else score
    return available, unavailable


def known(name: str) -> Metric:
    """The metric of a name; DataError when there is none."""
    if name not in METRICS:
        raise DataError(f"metric {name!r} found; wanted are some of {', '.join(METRICS)}")
    return METRICS[name]
