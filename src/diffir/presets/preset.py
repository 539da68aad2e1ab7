"""Preset: a named network with its task, the recipe that trains it and its bundled weights."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from diffir.data import Bicubic, Degradation
from diffir.model import DiffIRConfig, DiffIRS2
from diffir.recipe import Phase, Recipe
from diffir.tasks import Task

BICUBIC = Bicubic()
GUIDED: dict[str, Any] = {
    "cpen_standardise": True,
    "cpen_pooling": "mean_log_std",
    "teacher_residual": True,
    "ipr_bottleneck": 8,
    "denoiser_layers": 3,
    "denoiser_residual": True,
}
"""Settings that make the prior carry how LQ was made, if that is random (docs/prior.md)."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One row of `diffir models`."""

    name: str
    summary: str
    """What it does to a picture, in a few words."""
    task: Task
    config: DiffIRConfig
    recipe: Recipe | None = None

    @property
    def parameters(self) -> int:
        """Number of parameters of the stage-2 network, counted without allocating them."""
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in DiffIRS2(self.config).parameters())


def lite(published: DiffIRConfig) -> DiffIRConfig:
    """A published network at a size for CPUs, by benchmarks/sizes.py (docs/experiments.md)."""
    return replace(
        published,
        dim=24,
        num_blocks=(3, 1, 1, 1),
        num_refinement_blocks=2,
        ffn_expansion=2.0,
        norm_bias=True,
        cpen_blocks=2,
    )


def lite_recipe(lq_size: int, degradation: Degradation = BICUBIC) -> Recipe:
    """The recipe of the lite networks: 1 to 3 hours on one CPU core (docs/training.md)."""
    return Recipe(
        degradation=degradation,
        stage1=Phase(
            steps=3600, learning_rate=4e-4, warmup_steps=100, batch_size=8, lq_size=lq_size
        ),
        prior=Phase(steps=700, learning_rate=4e-4, warmup_steps=50, batch_size=8, lq_size=lq_size),
        joint=Phase(steps=3200, learning_rate=3e-4, warmup_steps=50, batch_size=8, lq_size=lq_size),
        gradient_clip=0.25,
        precision="bfloat16",
    )


def guided(preset: Preset) -> Preset:
    """A lite network whose prior is trained to carry how LQ was made, unlike the authors'."""
    recipe = preset.recipe
    assert recipe is not None
    assert recipe.prior is not None
    taught = recipe.model_copy(
        update={
            "ipr_init": "he",
            "facts_weight": 0.1,
            "facts_alone": True,
            "prior": recipe.prior.model_copy(update={"steps": 2000, "learning_rate": 2e-3}),
        }
    )
    return replace(preset, config=replace(preset.config, **GUIDED), recipe=taught)
