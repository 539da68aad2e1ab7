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
class Tile:
    """One crop of a picture."""

    label: str
    """LQ, a method's name, or GT; a method may be called as the others are."""
    pixels: Pixels
    difference: Pixels | None = None
    """Of a method from GT, absolute, mean of the channels, GAIN times as bright."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What a page shows of a picture."""

    picture: str
    left: int
    """Of the crop in GT, in pixels, as top."""
    top: int
    tiles: tuple[Tile, ...]
    """From left to right."""


def view(picture: str, pair: Pair, restored: Mapping[str, Tensor]) -> View:
    """The crops of a picture, its worst place found by the first of the restored (1, 3, H, W).

    Where sizes differ, what all have at the top left is looked at.
    """
    gt = pair.gt
    shapes = [image.shape for image in (*restored.values(), gt) if image is not None]
    height, width = (min(shape[axis] for shape in shapes) for axis in (-2, -1))
    gt = None if gt is None else gt[..., :height, :width]
    images = {name: image[..., :height, :width] for name, image in restored.items()}
    first = next(iter(images.values()))
    top, left = worst_place(first, first if gt is None else gt)

    def cut(image: Tensor) -> Pixels:
        return to_pixels(image[..., top : top + SIDE, left : left + SIDE])

    lq = [] if pair.lq is None else [Tile(label="LQ", pixels=cut(enlarged(pair.lq, first)))]
    methods = [
        Tile(
            label=name,
            pixels=cut(image),
            difference=None if gt is None else cut(difference(image, gt)),
        )
        for name, image in images.items()
    ]
    truth = [] if gt is None else [Tile(label="GT", pixels=cut(gt))]
    return View(picture=picture, left=left, top=top, tiles=(*lq, *methods, *truth))


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
