"""Crops for the HTML report: the place where the first method is worst, in all pictures."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from diffir.data.pixels import Pixels, to_pixels

from .cases import Pair

SIDE = 96  # GT pixels of a crop's sides
STRIDE = 8  # of the search for the worst place, in pixels
GAIN = 2  # of differences, so that they are visible but seldom saturate


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One crop of a picture."""

    label: str
    """LQ, a method's name, or GT; a method may have the name LQ or GT, too."""
    pixels: Pixels
    difference: Pixels | None = None
    """Absolute difference of a method from GT, averaged over channels, times GAIN."""


@dataclass(frozen=True, kw_only=True)
class View:
    """The crops of one picture."""

    picture: str
    left: int
    """Position of the crop in GT, in pixels; likewise `top`."""
    top: int
    tiles: tuple[Tile, ...]
    """From left to right."""


def view(picture: str, pair: Pair, restored: Mapping[str, Tensor]) -> View:
    """The crops of a picture where the first of the restored (1, 3, H, W) is worst.

    If sizes differ, only the common part at the top left is used.
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
    """The absolute difference of two pictures (1, 3, H, W), in gray, times GAIN."""
    return GAIN * (restored - gt).abs().mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)


def worst_place(restored: Tensor, gt: Tensor) -> tuple[int, int]:
    """Top and left of the crop with the largest squared error; the middle if there is none."""
    error = (restored - gt).square().mean(dim=1, keepdim=True)  # (1, 1, H, W)
    height, width = error.shape[-2:]
    sides = min(SIDE, height), min(SIDE, width)
    if not error.any():
        return (height - sides[0]) // 2, (width - sides[1]) // 2
    means = F.avg_pool2d(error, sides, stride=STRIDE)[0, 0]
    place = int(means.argmax())
    return place // means.shape[1] * STRIDE, place % means.shape[1] * STRIDE


def enlarged(lq: Tensor, like: Tensor) -> Tensor:
    """LQ enlarged to GT's size, by nearest neighbour."""
    return F.interpolate(lq, size=like.shape[-2:], mode="nearest")
