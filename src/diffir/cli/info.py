"""diffir info: what a weights file holds."""

from typing import Annotated

import typer

from .app import app, explained, say


@app.command()
@explained
def info(
    model: Annotated[str, typer.Argument(help="A name from `diffir models`, or a weights file")],
) -> None:
    """Show what a weights file holds: stage, task, scale, sizes, training."""
    from diffir.loading import describe

    for key, value in describe(model).items():
        say(f"{key:<22} {value}")
