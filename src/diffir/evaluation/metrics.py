"""The named metrics, and loading those whose weights are on this machine."""

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
"""From `restored` (B, 3, H, W) in [0, 1] and, by keyword, what else the metric needs, to (B,).

A metric of sets takes iterables of such tensors and returns a scalar ().
"""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric, not yet loaded."""

    better: Literal["higher", "lower"]
    needs: tuple[Literal["gt", "mask"], ...] = ("gt",)
    """Besides restored: gt (B, 3, H, W); mask (B, 1, H, W), 1 = hole."""
    of_sets: bool = False
    """Whether it compares sets of pictures instead of single ones."""
    open: Callable[[Path | None], Score]
    """Loads it; takes the folder to search for weights first, and raises WeightsError."""


def always(score: Score) -> Callable[[Path | None], Score]:
    """The `open` of a metric without weights."""
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
"""By name. They do not crop borders (see `without_border`) and do not round: files are compared in
8 bits, so round the output of a network first (`round_to_8_bit`)."""


def open_metrics(
    names: Iterable[str],
    weights_dir: Path | None = None,
    device: torch.device | str = "cpu",
) -> tuple[dict[str, Score], dict[str, str]]:
    """The available metrics, on a device; and for each other one a sentence that says why not.

    Raises:
        DataError: when a name is unknown.
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
    """The metric of a name; DataError if there is none."""
    if name not in METRICS:
        raise DataError(f"metric {name!r} found; choose from {', '.join(METRICS)}")
    return METRICS[name]
