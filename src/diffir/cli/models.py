"""diffir models: the networks that have a name."""

from typing import TYPE_CHECKING

from rich.table import Table

from .app import app, explained, out

if TYPE_CHECKING:
    from diffir.presets import Preset


@app.command()
@explained
def models() -> None:
    """List the named networks with scores and speed, those with weights first."""
    from diffir.loading import bundled_file, own_file
    from diffir.presets import PRESETS

    # Not one column per fact: eight of them would break every other word on a screen 80 wide.
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    presets = sorted(PRESETS.values(), key=lambda one: not (bundled_file(one) or own_file(one)))
    for preset in presets:
        table.add_row(preset.name, f"{preset.summary}\n{'; '.join(facts_of(preset))}")
    out.print(table)


def facts_of(preset: "Preset") -> list[str]:
    """What a user would choose by, a few words each."""
    from diffir.loading import score_of, speed_of

    facts = [
        f"{preset.task.name} ×{preset.config.scale}",
        f"{preset.parameters / 1e6:.1f} M parameters",
        weights_of(preset),
    ]
    score, speed = score_of(preset), speed_of(preset)
    if score is not None:
        facts.append(score)
    if speed is not None:
        facts.append(f"{speed} per megapixel of input, one thread")
    return facts


def weights_of(preset: "Preset") -> str:
    """Where the weights of a preset are."""
    from diffir.loading import bundled_file, own_file

    file = bundled_file(preset)
    if file is not None:
        return f"bundled, {file.stat().st_size / 1e6:.1f} MB"
    own = own_file(preset)
    return "not bundled" if own is None else f"yours: {own.name}"
