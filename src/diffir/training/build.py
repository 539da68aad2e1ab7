"""From a recipe and folders of photos to a trained network: the three phases in a row."""

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any

import torch

from diffir.checkpoints import Checkpoint, format
from diffir.data import Feed, Holes, OnBad, SecondOrder, data_sets, open_sets, unfit
from diffir.data.stream import summary_of
from diffir.errors import DataError, RecipeError
from diffir.inference.devices import place
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2
from diffir.presets import Preset
from diffir.recipe import Recipe

from .loop import Run, Validate, run_phase
from .stages import IPR_LOSSES, PIXEL_LOSSES, JointPhase, PriorPhase, Stage1

logger = logging.getLogger(__name__)

CLAIM = "recipe.json"


def train_stage1(config: DiffIRConfig, recipe: Recipe, feed: Feed, run: Run) -> DiffIRS1:
    """Stage 1 from scratch (or from where it stopped); the average of its weights."""
    torch.manual_seed(recipe.seed)
    model = place(DiffIRS1(config), run.device)
    stage = Stage1(model, PIXEL_LOSSES[recipe.pixel_loss])
    average = run_phase("stage1", 1, stage, recipe.stage1, recipe, feed, run)
    assert isinstance(average, DiffIRS1)
    return average


def train_stage2(
    config: DiffIRConfig, recipe: Recipe, feed: Feed, run: Run, teacher: DiffIRS1
) -> DiffIRS2:
    """Stage 2 from a trained stage 1: prior phase, then joint phase; the average of its weights."""
    torch.manual_seed(recipe.seed + 1)
    model = place(DiffIRS2(config), run.device)
    model.dirformer.load_state_dict(teacher.dirformer.state_dict())
    losses = IPR_LOSSES[recipe.ipr_loss], PIXEL_LOSSES[recipe.pixel_loss]
    prior = PriorPhase(model, teacher, *losses)
    model.load_state_dict(
        run_phase("prior", 2, prior, recipe.prior, recipe, feed, run).state_dict()
    )
    joint = JointPhase(model, teacher, *losses)
    average = run_phase("joint", 3, joint, recipe.joint, recipe, feed, run)
    assert isinstance(average, DiffIRS2)
    return average


def recipe_of(preset: Preset) -> Recipe:
    """The recipe of a preset. Raises RecipeError where it has none."""
    if preset.recipe is None:
        raise RecipeError(f"{preset.name} has no recipe; train one that has")
    return preset.recipe


def feed_of(
    preset: Preset,
    data: Iterable[str],
    *,
    device: torch.device,
    workers: int = 0,
    on_bad: OnBad = "skip",
) -> Feed:
    """Where the batches of a preset's training come from.

    Raises:
        RecipeError: when the network can't learn from such crops or such a degradation.
        DataError: when the data can't be learnt from: a mistake is better known now than in hours.
    """
    recipe = recipe_of(preset)
    scale, multiple = preset.config.scale, preset.config.multiple_of
    mismatch = unfit(recipe.degradation, preset.task.name, scale)
    if mismatch:
        raise RecipeError(mismatch)
    source = open_sets(data_sets(data), scale=scale, on_bad=on_bad)
    if source.has_pairs() and isinstance(recipe.degradation, Holes):
        raise DataError("pairs of LQ and GT found; inpainting makes its own, so give GT alone")
    feed = Feed(
        source=source,
        degradation=recipe.degradation,
        scale=scale,
        augment=recipe.augment,
        device=device,
        workers=workers,
    )
    pool_size = recipe.degradation.pool_size if isinstance(recipe.degradation, SecondOrder) else 0
    for lq_size, batch_size in recipe.all_sizes():
        if lq_size % multiple:
            raise RecipeError(
                f"lq_size {lq_size} found; {preset.name} wants a multiple of {multiple}"
            )
        if 0 < pool_size < batch_size:
            raise RecipeError(f"batch_size {batch_size} found; the pair pool holds {pool_size}")
        source.require(feed.crop_size(lq_size))
    return feed


def train_preset(
    preset: Preset,
    data: Iterable[str],
    folder: Path,
    *,
    device: torch.device,
    workers: int = 0,
    on_bad: OnBad = "skip",
    stop: Event | None = None,
    validate: Validate | None = None,
    validate_every: int = 1000,
) -> Path:
    """Train a preset's network by its recipe and write the weights of both stages.

    Run again after an interruption, it goes on where it was; after its end, it only writes.

    Args:
        preset: the network and its recipe.
        data: what to learn from, as `data_sets` reads it.
        folder: of the run.
        device: that trains.
        workers: processes that make batches beside the one that trains.
        on_bad: whether pictures that can't be learnt from are skipped and counted, or end the run.
        stop: once set, the run saves its state and raises StoppedError.
        validate: scores the averaged network of either stage; the scores are logged.
        validate_every: steps between two validations.

    Returns:
        The stage-2 file, `<name>.safetensors` in the folder; stage 1 lies beside it.

    Raises:
        RecipeError: when the preset has no recipe, or the folder holds a run of another one.
        DataError, PictureError: when the data can't be learnt from.
    """
    recipe = recipe_of(preset)
    claim = claim_of(folder, preset, recipe)
    names = [*data]
    feed = feed_of(preset, names, device=device, workers=workers, on_bad=on_bad)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CLAIM).write_text(claim, encoding="utf-8")
    run = Run(
        folder=folder,
        device=device,
        stop=stop or Event(),
        validate=validate,
        validate_every=validate_every,
    )
    facts = {
        "recipe": recipe.model_dump(mode="json"),
        "data": [Path(name).name for name in names],
        **feed.source.describe(),
    }
    teacher = train_stage1(preset.config, recipe, feed, run)
    save_weights(teacher, preset, facts, folder / f"{preset.name}-stage1.safetensors")
    model = train_stage2(preset.config, recipe, feed, run, teacher)
    weights = folder / f"{preset.name}.safetensors"
    save_weights(model, preset, facts, weights)
    if run.skipped:
        logger.warning("%s", summary_of(run.skipped))
    return weights


def claim_of(folder: Path, preset: Preset, recipe: Recipe) -> str:
    """What a run's folder says about whose it is; raises RecipeError where it is another's."""
    facts = {"preset": preset.name, "config": asdict(preset.config), "recipe": recipe.model_dump()}
    text = json.dumps(facts, indent=1, sort_keys=True)
    file = folder / CLAIM
    if file.exists() and file.read_text(encoding="utf-8") != text:
        raise RecipeError(f"{folder} holds a run of another recipe; choose another output folder")
    return text


def save_weights(
    model: DiffIRS1 | DiffIRS2, preset: Preset, facts: dict[str, Any], path: Path
) -> None:
    """Write half-precision weights with everything that rebuilds the network."""
    checkpoint = Checkpoint(model=model, task=preset.task.name, preset=preset.name, training=facts)
    format.save(checkpoint, path, dtype=torch.float16)
