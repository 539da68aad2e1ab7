"""diffir convert: the authors' weights into one safe file."""

from pathlib import Path
from typing import Annotated

import typer

from .app import app, explained, fail, say


@app.command()
@explained
def convert(
    source: Annotated[Path, typer.Argument(help="The authors' .pth or .ckpt")],
    target: Annotated[Path, typer.Argument(help="The .safetensors file to write")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there")] = False,
) -> None:
    """Convert the authors' .pth or .ckpt to a .safetensors file that rebuilds its network."""
    if target.suffix != ".safetensors":
        raise fail(f"{target} does not end in .safetensors; name the target so")
    if target.exists() and not overwrite:
        raise fail(f"{target} exists; choose another name or add --overwrite")
    from diffir.loading import convert as convert_file

    checkpoint = convert_file(source, target)
    preset = f", {checkpoint.preset}" if checkpoint.preset else ""
    kind = type(checkpoint.model).__name__
    say(f"{target}: {kind}, {checkpoint.task} ×{checkpoint.config.scale}{preset}")
