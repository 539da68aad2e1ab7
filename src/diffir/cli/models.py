"""diffir models: the networks that have a name."""

from rich.table import Table

from .app import app, explained, out


@app.command()
@explained
def models() -> None:
    """List the networks by name, and which of them come with weights."""
    from diffir.loading import bundled_file
    from diffir.presets import PRESETS

    table = Table("name", "task", "scale", "parameters", "weights", "what it does", box=None)
    for preset in PRESETS.values():
        file = bundled_file(preset)
        weights = "not bundled" if file is None else f"bundled, {file.stat().st_size / 1e6:.1f} MB"
        scale = f"×{preset.config.scale}"
        parameters = f"{preset.parameters / 1e6:.1f} M"
        table.add_row(preset.name, preset.task.name, scale, parameters, weights, preset.summary)
    out.print(table)
