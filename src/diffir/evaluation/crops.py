"""Crops to look at: where the first method is worst, as LQ, every method and GT show it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from diffir.data.pixels import Pixels, to_pixels

from .cases import Pair

SIDE = 96  # GT pixels of a crop's sides
STRIDE = 8  # among how many places the worst one is looked for
GAIN = 2  # of differences: twice as bright are seen, and seldom white all over


@dataclass(frozen=True, kw_only=True)
class View:
    """What a page shows of a picture."""

    picture: str
    left: int
    """Of the crop in GT, in pixels, as top."""
    top: int
    tiles: Mapping[str, Pixels]
    """By label, from left to right."""
    differences: Mapping[str, Pixels]
    """Of methods from GT, absolute, mean of the channels, GAIN times as bright."""


def view(picture: str, pair: Pair, restored: Mapping[str, Tensor]) -> View:
    """The crops of a picture, its worst place found by the first of the restored (1, 3, H, W).

    Where sizes differ, what all have at the top left is looked at.
    """
    images = dict(restored) if pair.gt is None else {**restored, "GT": pair.gt}
    height, width = (min(image.shape[axis] for image in images.values()) for axis in (-2, -1))
    images = {name: image[..., :height, :width] for name, image in images.items()}
    gt = images.get("GT")
    first = next(iter(images.values()))
    top, left = worst_place(first, first if gt is None else gt)

    def tile(image: Tensor) -> Pixels:
        return to_pixels(image[..., top : top + SIDE, left : left + SIDE])

    lq = {} if pair.lq is None else {"LQ": enlarged(pair.lq, first)}
    return View(
        picture=picture,
        left=left,
        top=top,
        tiles={name: tile(image) for name, image in {**lq, **images}.items()},
        differences={}
        if gt is None
        else {name: tile(difference(images[name], gt)) for name in restored},
    )


def difference(restored: Tensor, gt: Tensor) -> Tensor:
    """How far two pictures (1, 3, H, W) are apart, in gray and brighter than it is."""
    return GAIN * (restored - gt).abs().mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)


def worst_place(restored: Tensor, gt: Tensor) -> tuple[int, int]:
    """Top and left of the crop with the largest squared error; the middle where there is none."""
    error = (restored - gt).square().mean(dim=1, keepdim=True)  # (1, 1, H, W)
    height, width = error.shape[-2:]
    sides = min(SIDE, height), min(SIDE, width)
    if not error.any():
        return (height - sides[0]) // 2, (width - sides[1]) // 2
    means = F.avg_pool2d(error, sides, stride=STRIDE)[0, 0]
    place = int(means.argmax())
    return place // means.shape[1] * STRIDE, place % means.shape[1] * STRIDE


def enlarged(lq: Tensor, like: Tensor) -> Tensor:
    """LQ in the pixels of GT, every one of its own a square."""
    return F.interpolate(lq, size=like.shape[-2:], mode="nearest")
