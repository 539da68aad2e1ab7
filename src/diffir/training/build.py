"""From a recipe and folders of photos to a trained network: the three phases in a row."""

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diffir.checkpoints import Checkpoint, format
from diffir.data import Pair, PairCrops, bicubic_pair, picture_files
from diffir.errors import RecipeError
from diffir.images import Picture, read
from diffir.inference.devices import place
from diffir.inference.planes import split
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2
from diffir.presets import Preset
from diffir.recipe import Phase, Recipe

from .loop import Run, run_phase
from .stages import JointPhase, PriorPhase, Stage1

logger = logging.getLogger(__name__)

CLAIM = "recipe.json"


def bicubic_pairs(sources: Iterable[Path], scale: int) -> list[Pair]:
    """Every picture under the sources with its MATLAB-bicubic reduction, in memory."""
    files = picture_files(sources)
    logger.info("pictures: %d; reducing each to LQ", len(files))
    return [bicubic_pair(rgb_pixels(read(file)), scale) for file in files]


def rgb_pixels(picture: Picture) -> NDArray[np.uint8]:
    """The colours of any picture in 8 bits, (H, W, 3), without its alpha."""
    return np.asarray(replace(picture, pixels=split(picture), alpha=None, bit_depth=8).to_array())


def train_stage1(config: DiffIRConfig, recipe: Recipe, pairs: list[Pair], run: Run) -> DiffIRS1:
    """Stage 1 from scratch (or from where it stopped); the average of its weights."""
    torch.manual_seed(recipe.seed)
    model = place(DiffIRS1(config), run.device)
    crops = crops_for(recipe.stage1, config, pairs)
    average = run_phase("stage1", 1, Stage1(model), recipe.stage1, recipe, crops, run)
    assert isinstance(average, DiffIRS1)
    return average


def train_stage2(
    config: DiffIRConfig, recipe: Recipe, pairs: list[Pair], run: Run, teacher: DiffIRS1
) -> DiffIRS2:
    """Stage 2 from a trained stage 1: prior phase, then joint phase; the average of its weights."""
    torch.manual_seed(recipe.seed + 1)
    model = place(DiffIRS2(config), run.device)
    model.dirformer.load_state_dict(teacher.dirformer.state_dict())
    prior = PriorPhase(model, teacher)
    crops = crops_for(recipe.prior, config, pairs)
    model.load_state_dict(
        run_phase("prior", 2, prior, recipe.prior, recipe, crops, run).state_dict()
    )
    crops = crops_for(recipe.joint, config, pairs)
    joint = JointPhase(model, teacher)
    average = run_phase("joint", 3, joint, recipe.joint, recipe, crops, run)
    assert isinstance(average, DiffIRS2)
    return average


def crops_for(phase: Phase, config: DiffIRConfig, pairs: list[Pair]) -> PairCrops:
    """The crops that a phase learns from."""
    return PairCrops(pairs, config.scale, phase.lq_size)


def train_preset(
    preset: Preset, sources: list[Path], folder: Path, *, device: torch.device
) -> Path:
    """Train a preset's network by its recipe and write the weights of both stages.

    Run again after an interruption, it goes on where it was; after its end, it only writes.

    Returns:
        The stage-2 file, `<name>.safetensors` in the folder; stage 1 lies beside it.

    Raises:
        RecipeError: when the preset has no recipe, or the folder holds a run of another one.
        DataError, PictureError: when the sources can't be learnt from.
    """
    recipe = preset.recipe
    if recipe is None:
        raise RecipeError(f"{preset.name} has no recipe; train one that has")
    claim = claim_of(folder, preset, recipe)
    pairs = bicubic_pairs(sources, preset.config.scale)
    for phase in (recipe.stage1, recipe.prior, recipe.joint):
        crops_for(phase, preset.config, pairs)  # a crop too large is better known now than in hours
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CLAIM).write_text(claim, encoding="utf-8")
    run = Run(folder=folder, device=device)
    facts = {
        "recipe": recipe.model_dump(mode="json"),
        "data": [source.name for source in sources],
        "pictures": len(pairs),
        "pixels": sum(pair.gt.shape[0] * pair.gt.shape[1] for pair in pairs),
    }
    teacher = train_stage1(preset.config, recipe, pairs, run)
    save_weights(teacher, preset, facts, folder / f"{preset.name}-stage1.safetensors")
    model = train_stage2(preset.config, recipe, pairs, run, teacher)
    weights = folder / f"{preset.name}.safetensors"
    save_weights(model, preset, facts, weights)
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
