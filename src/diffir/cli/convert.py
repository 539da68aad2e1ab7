"""diffir convert: the authors' weights into one safe file."""

from pathlib import Path
from typing import Annotated

import typer

from .app import Overwrite, app, explained, fail, require_free, say


@app.command()
@explained
def convert(
    source: Annotated[Path, typer.Argument(help="The authors' .pth or .ckpt")],
    target: Annotated[Path, typer.Argument(help="The .safetensors file to write")],
    overwrite: Overwrite = False,
) -> None:
    """Convert the authors' .pth or .ckpt to a .safetensors file that rebuilds its network."""
    if target.suffix != ".safetensors":
        raise fail(f"{target} does not end in .safetensors; name the target so")
    require_free(target, overwrite)
    from diffir.loading import convert as convert_file

    checkpoint = convert_file(source, target)
    preset = f", {checkpoint.preset}" if checkpoint.preset else ""
    kind = type(checkpoint.model).__name__
    say(f"{target}: {kind}, {checkpoint.task} ×{checkpoint.config.scale}{preset}")
