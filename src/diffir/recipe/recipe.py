"""Recipe: how a network is trained, validated on reading."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from diffir.data import Augment, Bicubic, Degradation, Values
from diffir.data.settings import NotNegative, Positive, named, sentence
from diffir.errors import RecipeError

from .losses import IPR_LOSSES, IPRLoss, PixelL1, PixelLoss
from .phase import Phase

PHASES = ("stage1", "prior", "joint", "finetune")
"""In the order in which they run; a phase's position, from 1, is part of its random seed."""


class Recipe(Values):
    """A whole training: data, seed and settings of all phases.

    A phase that is None does not run. Without stage 1, the others need a teacher from a file.
    """

    degradation: Degradation = Bicubic()
    """How LQ is made from photos; settings, or a name (docs/data.md)."""
    augment: Augment = Augment()
    seed: int = Field(default=0, ge=0, lt=2**32)
    stage1: Phase | None = None
    """CPEN_S1, which sees the ground truth, and DIRformer."""
    prior: Phase | None = None
    """Stage 2, only CPEN_S2 and denoiser, on L_diff."""
    joint: Phase | None = None
    """Stage 2, all parameters."""
    finetune: Phase | None = None
    """Stage 2, all parameters, from a trained network; with L_diff if there is a teacher."""
    pixel_loss: PixelLoss = PixelL1()
    """L_rec."""
    ipr_loss: Annotated[IPRLoss, BeforeValidator(named(IPR_LOSSES))] = IPRLoss()
    """L_diff."""
    diffusion_training: Literal["all_steps", "single_step"] = "all_steps"
    """`single_step` is the usual diffusion training, one random t per step: the paper's V2, worse.
    It is only for the prior phase, as a single step gives no IPR to restore with."""
    ipr_init: Literal["torch", "he"] = "torch"
    """Initial weights of CPEN and denoiser: PyTorch's default, or He's, which preserve differences
    between pictures. `torch` is the authors' form, as are the neutral values of the next seven
    (docs/prior.md)."""
    teacher_noise: NotNegative = 0.0
    """σ of Gaussian noise on Z in stage 1, relative to Z's root mean square over the batch: a
    bottleneck."""
    ipr_variance_weight: NotNegative = 0.0
    """In stage 1, of VICReg's variance term: each element of Z should differ between pictures."""
    ipr_covariance_weight: NotNegative = 0.0
    """In stage 1, of VICReg's covariance term: the elements of Z should not be redundant."""
    ipr_entropy_weight: NotNegative = 0.0
    """In stage 1, of an estimate of the entropy of Z's direction: no two should be close."""
    facts_weight: NotNegative = 0.0
    """In stage 1, of the error of a linear layer that predicts from Z what was drawn when LQ was
    made: blur, noise, quality, the share of the hole."""
    facts_alone: bool = False
    """In stage 1, train CPEN on that only: Z describes the degradation and nothing else. On a batch
    of given pairs, whose degradation is unknown, it is trained on the pixels."""
    modulation_rate: Positive = 1.0
    """In stage 1, factor on the learning rate of CPEN and of the blocks' modulation."""
    gradient_clip: Positive | None = None
    """Largest norm of the gradient; None does not clip."""
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the averaged weights; (step + 1) / (step + 10) where that is less, from each phase's
    first step on, so that the average forgets its initial weights."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is autocast: weights, optimizer and losses stay in float32. A device that does not
    support it trains in float32."""

    def variety(self) -> dict[str, float]:
        """The weights, where not 0, of the terms that keep the Z of a batch apart, by term."""
        names = "ipr_variance", "ipr_covariance", "ipr_entropy"
        weights: dict[str, float] = {name: getattr(self, f"{name}_weight") for name in names}
        return {name: weight for name, weight in weights.items() if weight}

    def phases(self) -> dict[str, Phase]:
        """The phases that run, by name, in order."""
        phases = {name: getattr(self, name) for name in PHASES}
        return {name: phase for name, phase in phases.items() if phase is not None}

    def all_sizes(self) -> set[tuple[int, int]]:
        """Every (side of the LQ crops, pictures in the batch) of its phases."""
        return set().union(*(phase.all_sizes() for phase in self.phases().values()))

    def with_paths_from(self, folder: Path) -> "Recipe":
        """The same with absolute paths, relative ones being those in a folder.

        So a run can be resumed from any working directory.
        """
        found: dict[str, Phase] = {}
        for name, phase in self.phases().items():
            if phase.adversary and phase.adversary.weights:
                weights = (folder / phase.adversary.weights).resolve()
                adversary = phase.adversary.model_copy(update={"weights": weights})
                found[name] = phase.model_copy(update={"adversary": adversary})
        return self.model_copy(update=found)

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Recipe":
        """A recipe from the values in a file; raises RecipeError where they are invalid."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise RecipeError(sentence(error)) from error
