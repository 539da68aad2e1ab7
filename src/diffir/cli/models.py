"""diffir models: the networks that have a name."""

from typing import TYPE_CHECKING

from rich.table import Table

from .app import app, explained, out

if TYPE_CHECKING:
    from diffir.presets import Preset


@app.command()
@explained
def models() -> None:
    """List the networks by name: which have weights here, with their scores and seconds."""
    from diffir.loading import score_of, speed_of
    from diffir.presets import PRESETS

    table = Table(
        "name",
        "task",
        "scale",
        "parameters",
        "weights",
        "score",
        "a megapixel",
        "what it does",
        box=None,
    )
    for preset in PRESETS.values():
        scale = f"×{preset.config.scale}"
        parameters = f"{preset.parameters / 1e6:.1f} M"
        table.add_row(
            preset.name,
            preset.task.name,
            scale,
            parameters,
            weights_of(preset),
            score_of(preset) or "",
            speed_of(preset) or "",
            preset.summary,
        )
    out.print(table)


def weights_of(preset: "Preset") -> str:
    """Where the weights of a preset are."""
    from diffir.loading import bundled_file, own_file

    file = bundled_file(preset)
    if file is not None:
        return f"bundled, {file.stat().st_size / 1e6:.1f} MB"
    own = own_file(preset)
    return "not bundled" if own is None else f"yours: {own.name}"
