"""diffir recipe: how a network is trained, in full."""

from typing import Annotated

import typer

from .app import Settings, app, explained, say


@app.command()
@explained
def recipe(
    name: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A preset with a recipe, or a .yaml file")
    ],
    settings: Settings = None,
) -> None:
    """Print a recipe in full: all of it may stand in a .yaml file, beside `preset: NAME`."""
    import yaml

    from diffir.presets import PRESETS, choose

    preset = choose(PRESETS, name, settings or [])
    assert preset.recipe is not None
    values = {"preset": preset.name, **preset.recipe.model_dump(mode="json")}
    say(yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip())
