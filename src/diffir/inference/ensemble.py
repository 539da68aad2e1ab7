"""Self-ensemble: the mean over flips and quarter turns of a picture (EDSR, Lim et al. 2017)."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

TURNS = [(turns, flip) for flip in (False, True) for turns in range(4)]
"""Quarter turns, and whether the picture is flipped first."""


def turned(x: Tensor, turns: int, flip: bool) -> Tensor:
    """Pictures (B, C, H, W), flipped from left to right and turned; H and W swap at odd turns."""
    return torch.rot90(x.flip(-1) if flip else x, turns, (-2, -1))


def turned_back(x: Tensor, turns: int, flip: bool) -> Tensor:
    """The inverse of `turned`."""
    x = torch.rot90(x, -turns, (-2, -1))
    return x.flip(-1) if flip else x


def ensembled(
    run: Callable[..., Tensor],
    images: Tensor,
    holes: Tensor | None,
    progress: Callable[[float], None] | None,
) -> Tensor:
    """The mean of eight runs, each turned back.

    Args:
        run: from images, holes and `progress` to restored pictures, of any size.
        images: (B, 3, H, W).
        holes: (B, 1, H, W) or None.
        progress: called with the share done of all eight.
    """
    total = None
    for done, turn in enumerate(TURNS):
        holes_turned = None if holes is None else turned(holes, *turn)
        report = None if progress is None else partial(report_share, progress, done)
        restored = turned_back(run(turned(images, *turn), holes_turned, report), *turn)
        total = restored if total is None else total.add_(restored)
    assert total is not None
    return total.div_(len(TURNS))


def report_share(progress: Callable[[float], None], done: int, share: float) -> None:
    """Report the share done of one run as a share of all."""
    progress((done + share) / len(TURNS))
