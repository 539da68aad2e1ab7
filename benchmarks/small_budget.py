"""What benchmarks that train many small networks share: crops, trainings, kept scores."""

import argparse
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean, stdev

from PIL import Image

from diffir.data import data_sets
from diffir.data.sets import entries_of_sets
from diffir.files import whole_file
from diffir.inference.devices import pick_device
from diffir.presets import Preset, choose
from diffir.training.build import train
from diffir.training.fabric import opened_fabric
from diffir.training.order import Order
from diffir.training.run import Run

Scores = dict[str, float]


def arguments_of(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What is trained on, judged by and how long, after the parser's own words."""
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--val", nargs="+", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps1", type=int, default=1000)
    parser.add_argument("--steps2", type=int, default=600)
    parser.add_argument("--pictures", type=int, default=50)
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, mps")
    return parser.parse_args()


def cropped(words: Iterable[str], folder: Path, most: int, size: int) -> Path:
    """A folder of centre crops of pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    entries, _ = entries_of_sets(data_sets(words), 1)
    for index, entry in enumerate(entries[:most]):
        picture = Image.fromarray(entry.gt.pixels())
        left, top = ((side - size) // 2 for side in picture.size)
        with whole_file(folder / f"{index:03}.png") as file:  # seeds may be other processes'
            picture.crop((left, top, left + size, top + size)).save(file, "PNG")
    return folder


def trained(
    preset: Preset,
    settings: list[str],
    data: list[str],
    folder: Path,
    device: str = "cpu",
    **more: str,
) -> Path:
    """The weights of a training; its log lies beside them."""
    order = Order(
        preset=choose({preset.name: preset}, preset.name, settings),
        data=tuple(data),
        folder=folder,
        **more,  # type: ignore[arg-type]
    )
    return train(order, Run(folder=folder, fabric=opened_fabric(pick_device(device))))


def kept(file: Path, scores: Callable[[], Scores]) -> Scores:
    """The scores in a file; found and written where there are none yet."""
    if not file.exists():
        file.write_text(json.dumps(scores()))
    found: Scores = json.loads(file.read_text())
    return found


def file_name(name: str) -> str:
    """A row's name as one of a file."""
    return name.replace(" ", "_").replace(":", "")


def told(values: list[float], digits: int, sign: str = "") -> str:
    """The mean ± its standard error, which one value lacks; `+` as sign shows it always."""
    mean = f"{fmean(values):{sign}.{digits}f}"
    return f"{mean} ± {error(values):.{digits}f}" if len(values) > 1 else mean


def error(values: list[float]) -> float:
    """The standard error of the mean."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
