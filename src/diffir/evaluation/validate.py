"""Validation during training: scores of a network on whole pictures, and some grids to view."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from statistics import fmean

import torch
from torch import Tensor, nn

from diffir.data import Batch, Degradation
from diffir.model import DiffIRS1, DiffIRS2

from .grids import grid
from .ipr_statistics import MOST_PICTURES, ipr_statistics
from .pairs import validation_sets
from .protocol import own_ipr, placed, restored_with, score

Validate = Callable[[nn.Module, DiffIRS1 | None], tuple[dict[str, float], dict[str, Tensor]]]
"""From a network and its teacher, if any, to scores by name and pictures by name."""

MOST_GRIDS = 4


def validator(words: Iterable[str], degradation: Degradation, scale: int) -> Validate:
    """A function that scores a network of either stage; raises as `validation_sets`.

    It restores with the true Z in stage 1 and with Ẑ, from noise, in stage 2. Its scores:

    - `psnr/<set>` of every word and `psnr` of all pictures, in dB, by the protocol of the task;
    - `ipr_statistics` of the first 8 pictures, since passes of DIRformer are expensive, and
      `psnr_own`, the PSNR of these 8, to compare `psnr_true` and the others with.

    Its pictures, `<set>-<index>` from 0, are the grids of the first 4, on the CPU. It does not use
    global random numbers and leaves the networks unchanged.
    """
    sets = validation_sets(words, degradation, scale)

    @torch.no_grad()
    def validate(
        network: nn.Module, teacher: DiffIRS1 | None
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        assert isinstance(network, DiffIRS1 | DiffIRS2)
        with evaluating(network, teacher):
            values, pictures = judged(network, sets)
            first = [*itertools.chain(*sets.values())][:MOST_PICTURES]
            statistics = ipr_statistics(network, teacher, first)
        every = [*itertools.chain(*values.values())]
        scores = {"psnr": fmean(every)}
        scores |= {f"psnr/{name}": fmean(of_set) for name, of_set in values.items()}
        if statistics:
            scores["psnr_own"] = fmean(every[:MOST_PICTURES])
        return scores | statistics, pictures

    return validate


def judged(
    network: DiffIRS1 | DiffIRS2, sets: dict[str, list[Batch]]
) -> tuple[dict[str, list[float]], dict[str, Tensor]]:
    """The PSNR of all pictures by set, and the first grids by name."""
    device = next(network.parameters()).device
    values: dict[str, list[float]] = {name: [] for name in sets}
    pictures: dict[str, Tensor] = {}
    for name, pairs in sets.items():
        for index, pair in enumerate(pairs):
            here = placed(pair, device)
            restored = restored_with(own_ipr(network, here), network, here)
            values[name].append(score(restored, here, network.config.scale))
            if len(pictures) < MOST_GRIDS:
                pictures[f"{name}-{index}"] = grid(restored, here)
    return values, pictures


@contextmanager
def evaluating(*networks: nn.Module | None) -> Iterator[None]:
    """Put networks into eval mode, and then every module back into its own mode."""
    given = [network for network in networks if network is not None]
    modes = [(module, module.training) for network in given for module in network.modules()]
    for network in given:
        network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
