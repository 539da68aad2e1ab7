"""Preview: a sheet of training pairs as the network will see them, with the drawn parameters."""

import re
import textwrap
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .batch import Batch
from .draws import Facts
from .pixels import to_pixels

SIDE = 192
"""Of a picture on the sheet, in pixels."""
COLUMNS, GAP, FONT, LINE = 3, 8, 11, 13
HOLE = torch.tensor([1.0, 0.0, 1.0])[:, None, None]  # magenta, rare in photos


def shown(image: Tensor) -> Image.Image:
    """(3, H, W) at the size of the sheet's pictures, by nearest neighbour."""
    large = F.interpolate(image[None], size=(SIDE, SIDE), mode="nearest")
    return Image.fromarray(to_pixels(large))


def words(facts: Facts) -> str:
    """The facts of a pair in a few words."""
    picture = str(facts.get("picture", "")).rpartition("/")[2]
    values = {name: value for name, value in facts.items() if name != "picture"}
    texts = (f"{spelt(name)} {shortened(value)}" for name, value in values.items())
    return " · ".join([picture, *texts])


def spelt(name: str) -> str:
    """A fact's name in words, its number in brackets."""
    return re.sub(r" (\d+)$", r" (\1)", name.replace("_", " "))


def shortened(value: float | str) -> str:
    """A fact's value in a few characters."""
    return value.replace("_", " ") if isinstance(value, str) else f"{value:.3g}"


def lines_of(facts: Facts) -> list[str]:
    """The words under a pair, wrapped to its width."""
    return textwrap.wrap(words(facts), width=(2 * SIDE) // 6)


def sheet(batches: Sequence[Batch]) -> Image.Image:
    """LQ and GT side by side, three pairs in a row; holes are magenta."""
    pairs = [pair for batch in batches for pair in pairs_of(batch)]
    texts = [lines_of(facts) for _, _, facts in pairs]
    width = 2 * SIDE + GAP
    height = SIDE + LINE * max(len(lines) for lines in texts) + GAP
    rows = -(-len(pairs) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * width, rows * height), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(FONT)
    for index, ((lq, gt, _), lines) in enumerate(zip(pairs, texts, strict=True)):
        left, top = index % COLUMNS * width, index // COLUMNS * height
        page.paste(shown(lq), (left, top))
        page.paste(shown(gt), (left + SIDE, top))
        for number, line in enumerate(lines):
            draw.text((left, top + SIDE + LINE * number), line, fill="black", font=font)
    return page


def pairs_of(batch: Batch) -> list[tuple[Tensor, Tensor, Facts]]:
    """LQ, GT (3, H, W) and facts of every pair."""
    lq = batch.lq[:, :3].cpu()
    if batch.mask is not None:
        lq = torch.where(batch.mask.cpu() > 0, HOLE, lq)
    return list(zip(lq, batch.gt.cpu(), batch.facts, strict=True))
