"""diffir data preview: training pairs as the network will see them."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from diffir.cli.app import Overwrite, Seed, Settings, explained, require_free, say

from .app import data


@data.command()
@explained
def preview(
    name: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A network with a recipe, or a .yaml file")
    ],
    sources: Annotated[
        list[str], typer.Option("--data", help="As `diffir train --data`; may be repeated")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The sheet to write, a .png")],
    settings: Settings = None,
    count: Annotated[int, typer.Option(min=1, max=300, help="Pairs on the sheet")] = 12,
    step: Annotated[int, typer.Option(min=0, help="Training step whose pairs are shown")] = 0,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write a sheet of training pairs, LQ and GT, with what was drawn for each under it."""
    require_free(output, overwrite)
    import torch

    from diffir.data import SecondOrder, Stream
    from diffir.data.preview import sheet
    from diffir.data.stream import summary_of
    from diffir.images import Picture
    from diffir.presets import RECIPES, choose
    from diffir.training.beginning import recipe_of
    from diffir.training.feed import feed_of

    preset = choose(RECIPES, name, settings or [])
    first, *_ = recipe_of(preset).phases().values()
    feed = feed_of(preset, sources, device=torch.device("cpu"))
    if isinstance(feed.degradation, SecondOrder):  # its pool mixes the pairs of several steps
        alone = feed.degradation.model_copy(update={"pool_size": 0})
        feed = replace(feed, degradation=alone)
    lq_size, _ = first.sizes(step)
    stream = Stream(feed, lambda _step: (lq_size, count), (seed, 1))
    page = sheet(list(stream.batches(step, step + 1)))
    Picture.from_pil(page).save(output, overwrite=overwrite)
    say(f"{output}: {count} pairs of {preset.name}, LQ left, GT right")
    if stream.skipped:
        say(summary_of(stream.skipped))
