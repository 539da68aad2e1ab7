"""diffir train: from folders of photos to a weights file."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from .app import Device, app, explained, fail, say


@app.command()
@explained
def train(
    name: Annotated[str, typer.Argument(metavar="PRESET", help="A network with a recipe")],
    data: Annotated[
        list[Path], typer.Option(help="Folder of photos, searched recursively; may be repeated")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run")],
    device: Device = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; all if not given")
    ] = None,
) -> None:
    """Train a network: stage 1, then stage 2. The same command goes on where it was stopped."""
    import torch

    from diffir.inference.devices import pick_device
    from diffir.presets import PRESETS
    from diffir.training.build import train_preset

    trainable = [preset.name for preset in PRESETS.values() if preset.recipe]
    if name not in trainable:
        raise fail(f"{name!r} has no recipe; take one of {', '.join(trainable)}")
    if output.exists() and not output.is_dir():
        raise fail(f"{output} is a file; name a folder for the run")
    if threads:
        torch.set_num_threads(threads)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    weights = train_preset(PRESETS[name], data, output, device=pick_device(device))
    say(f"trained weights: {weights}")
