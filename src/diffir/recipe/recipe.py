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
"""In the order in which they run; draws are told apart by the number of their phase, from 1."""


class Recipe(Values):
    """The method from nothing to a stage-2 network; data, seeds and settings of all phases.

    A phase that is None does not run. Without stage 1, the others need a teacher from a file.
    """

    degradation: Degradation = Bicubic()
    """How LQ is made of photos; settings, or a name (docs/data.md)."""
    augment: Augment = Augment()
    seed: int = Field(default=0, ge=0, lt=2**32)
    stage1: Phase | None = None
    """CPEN_S1 and DIRformer together, seeing the ground truth."""
    prior: Phase | None = None
    """Stage 2, CPEN_S2 and denoiser alone, on L_diff."""
    joint: Phase | None = None
    """Stage 2, everything."""
    finetune: Phase | None = None
    """Stage 2, everything, from a network that is trained already; L_diff if there is a teacher."""
    pixel_loss: PixelLoss = PixelL1()
    """L_rec."""
    ipr_loss: Annotated[IPRLoss, BeforeValidator(named(IPR_LOSSES))] = IPRLoss()
    """L_diff."""
    diffusion_training: Literal["all_steps", "single_step"] = "all_steps"
    """`single_step` is usual diffusion training, one random t a step: the paper's V2, worse. It
    serves the prior phase alone, for nothing comes out of the chain that a restorer could use."""
    ipr_init: Literal["torch", "he"] = "torch"
    """What CPEN and denoiser begin with: PyTorch's usual weights, or He's, which keep alive what
    differs between pictures. `torch` is the authors' form, as are the next seven's neutral values
    (docs/prior.md)."""
    teacher_noise: NotNegative = 0.0
    """σ of Gaussian noise on Z in stage 1, in units of Z's root mean square over the batch: a
    bottleneck."""
    ipr_variance_weight: NotNegative = 0.0
    """In stage 1, of VICReg's variance term: the numbers of Z shall differ between pictures."""
    ipr_covariance_weight: NotNegative = 0.0
    """In stage 1, of VICReg's covariance term: the numbers of Z shall not say the same."""
    ipr_entropy_weight: NotNegative = 0.0
    """In stage 1, of an estimate of the entropy of Z's direction: no two pictures shall be near."""
    facts_weight: NotNegative = 0.0
    """In stage 1, of the error of a linear layer that reads off Z what was drawn when LQ was made:
    blur, noise, quality, the share of the hole."""
    facts_alone: bool = False
    """In stage 1, CPEN learns from that alone: Z tells of the degradation and of nothing else. From
    a batch of pairs, of which nothing is known, it learns by the pixels all the same."""
    modulation_rate: Positive = 1.0
    """In stage 1, the rate of CPEN and of the blocks' modulation, in units of the phase's."""
    gradient_clip: Positive | None = None
    """Largest norm of the gradient, larger ones are scaled down; None leaves all as they are."""
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    """How much of the averaged weights stays from step to step; (step + 1) / (step + 10) where that
    is less, from each phase's first step on, so that an average forgets its beginning."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is autocast: weights, optimizer and losses stay in float32. A device without
    instructions for it trains in float32."""

    def variety(self) -> dict[str, float]:
        """The weights of what keeps Z from being alike for all pictures, where not 0, by term."""
        names = "ipr_variance", "ipr_covariance", "ipr_entropy"
        weights: dict[str, float] = {name: getattr(self, f"{name}_weight") for name in names}
        return {name: weight for name, weight in weights.items() if weight}

    def phases(self) -> dict[str, Phase]:
        """Those that run, by name, in order."""
        asked = {name: getattr(self, name) for name in PHASES}
        return {name: phase for name, phase in asked.items() if phase is not None}

    def all_sizes(self) -> set[tuple[int, int]]:
        """Every (side of the LQ crops, pictures in the batch) that its phases come to."""
        return set().union(*(phase.all_sizes() for phase in self.phases().values()))

    def with_paths_from(self, folder: Path) -> "Recipe":
        """The same with the files that it names found from everywhere, relative ones in a folder.

        Else a run would go on only where it was begun.
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
        """A recipe of values as files hold them; raises RecipeError where they are none."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise RecipeError(sentence(error)) from error
