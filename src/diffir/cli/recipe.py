"""diffir recipe: the recipes that networks are trained by."""

from typing import Annotated

import typer

from .app import Settings, app, explained, fail, out, say


@app.command()
@explained
def recipe(
    name: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="One of the names, or a .yaml file")
    ] = None,
    settings: Settings = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="MODEL", help="The network that `finetune` continues"),
    ] = None,
) -> None:
    """List the recipes, or print one in full, as YAML that `diffir train` takes."""
    import yaml
    from rich.table import Table

    from diffir.presets import RECIPES
    from diffir.presets.choose import values_of
    from diffir.presets.finetune import NAME as FINETUNE
    from diffir.training.order import is_finetuning, preset_of

    tuned = name is not None and is_finetuning(name)
    if start is not None and not tuned:
        raise fail(f"--from is only for the recipe {FINETUNE}; leave it out")
    if name is None:
        table = Table(box=None)
        table.add_column("recipe", no_wrap=True)
        table.add_column("task", no_wrap=True)
        table.add_column("what it trains")
        for preset in RECIPES.values():
            table.add_row(preset.name, preset.task.name, preset.summary)
        table.add_row(FINETUNE, "any", "a trained network, further (--from)")
        out.print(table)
        return
    preset = preset_of(name, settings or [], start)
    values = {"preset": FINETUNE if tuned else preset.name, **values_of(preset)}
    say(yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip())
