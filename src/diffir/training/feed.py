"""The source of a run's batches, checked against the recipe."""

from collections.abc import Iterable

import torch

from diffir.data import Feed, Holes, OnBad, SecondOrder, data_sets, open_sets, unfit
from diffir.errors import DataError, RecipeError
from diffir.presets import Preset

from .beginning import recipe_of


def feed_of(
    preset: Preset,
    data: Iterable[str],
    *,
    device: torch.device,
    workers: int = 0,
    on_bad: OnBad = "skip",
    processes: int = 1,
    accumulate: int = 1,
) -> Feed:
    """The source of the batches of a preset's training.

    Raises:
        RecipeError: when crops or degradation do not fit the network, or batches do not divide
            over the processes and their parts.
        DataError: when the data is unusable.
    """
    recipe = recipe_of(preset)
    mismatch = unfit(recipe.degradation, preset.task.name, preset.config.scale)
    if mismatch:
        raise RecipeError(mismatch)
    for sizes in recipe.all_sizes():
        require_sizes(preset, *sizes, processes, accumulate)
    source = open_sets(data_sets(data), scale=preset.config.scale, on_bad=on_bad)
    if source.has_pairs() and isinstance(recipe.degradation, Holes):
        raise DataError("pairs of LQ and GT found; inpainting makes its own LQ, so give only GT")
    feed = Feed(
        source=source,
        degradation=recipe.degradation,
        scale=preset.config.scale,
        augment=recipe.augment,
        device=device,
        workers=workers,
    )
    for lq_size, _ in recipe.all_sizes():
        source.require(feed.crop_size(lq_size))
    return feed


def require_sizes(
    preset: Preset, lq_size: int, batch_size: int, processes: int, accumulate: int
) -> None:
    """Raise RecipeError for sizes of crops and batches that do not fit."""
    degradation, multiple = recipe_of(preset).degradation, preset.config.multiple_of
    if lq_size % multiple:
        raise RecipeError(f"lq_size {lq_size} found; {preset.name} needs a multiple of {multiple}")
    if batch_size % (processes * accumulate):
        shares = f"{processes} processes" + (f" × {accumulate} parts" if accumulate > 1 else "")
        raise RecipeError(
            f"batch_size {batch_size} found; it does not divide over {shares}, so change either"
        )
    pool_size = degradation.pool_size if isinstance(degradation, SecondOrder) else 0
    if 0 < pool_size < batch_size // processes:
        raise RecipeError(
            f"batch_size {batch_size // processes} found; the pair pool holds only {pool_size}"
        )
