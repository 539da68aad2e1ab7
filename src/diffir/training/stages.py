"""The phases of the method, each as one function: what is minimised on a batch.

A stage is a module, so that data-parallel training finds its parameters: those that ask for a
gradient learn, all others rest.
"""

import torch
from torch import Tensor, nn

from diffir.data import Batch, Draws
from diffir.data.draws import noise_generator
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2
from diffir.model.cpen import BatchStandardization
from diffir.recipe import IPRLoss, PixelL1, Recipe

from .criteria import RestorationLoss, Terms, ipr_term, variety_terms
from .facts_reader import FactsReader
from .whole_batch import size_of, whole_batch

Noise = dict[str, Tensor]
"""What a stage wants drawn for each picture, (B, …)."""
L1 = RestorationLoss(PixelL1())
IPR_L1 = IPRLoss()


class Stage(nn.Module):
    """A network and what it learns; the loop is common to all."""

    model: DiffIRS1 | DiffIRS2
    prior_rate = 1.0
    """Learning rate of what makes the IPR and takes it, in units of the phase's."""

    def __init__(self) -> None:
        super().__init__()
        self.reader: FactsReader | None = None
        """What learns beside the network, and is not needed afterwards."""

    def noise(self, draws: Draws) -> Noise:
        """What `forward` wants drawn."""
        return {}

    def forward(self, batch: Batch, noise: Noise) -> tuple[Terms, Tensor | None]:
        """The terms whose sum is minimised, by name, and what was restored, (B, 3, H, W)."""
        raise NotImplementedError


class Stage1(Stage):
    """Pretraining: DIRformer learns to use the IPR that CPEN reads off LQ and ground truth."""

    model: DiffIRS1

    def __init__(
        self, model: DiffIRS1, restoration: RestorationLoss = L1, recipe: Recipe | None = None
    ) -> None:
        """Build; the recipe tells what is done to Z: by default nothing, as the authors have it."""
        super().__init__()
        self.model, self.restoration = model.requires_grad_(True), restoration
        self.recipe = recipe or Recipe()
        self.prior_rate = self.recipe.modulation_rate
        if isinstance(model.norm, BatchStandardization):
            model.norm.whole_batch = whole_batch
        if self.recipe.facts_weight:
            self.reader = reader_of(self.recipe, model.config)

    def noise(self, draws: Draws) -> Noise:
        """What is added to Z, where something is."""
        if not self.recipe.teacher_noise:
            return {}
        return {"ipr": gaussian(draws, self.model.config.ipr_dim)}

    def forward(self, batch: Batch, noise: Noise) -> tuple[Terms, Tensor]:
        """L_rec, and what keeps Z from being the same everywhere, where that is asked for."""
        few = self.model.extract_few(batch.lq, batch.gt)
        ipr = self.model.ipr_of(few.detach() if self.learns_from_facts_alone(batch) else few)
        of_ipr = self.variety(ipr)
        if self.reader is not None:
            of_ipr["facts"] = self.recipe.facts_weight * self.reader(few, batch.facts)
        if noise:
            ipr = ipr + self.recipe.teacher_noise * size_of(ipr) * noise["ipr"]
        restored = self.model.dirformer(batch.lq, ipr)
        return self.restoration(restored, batch) | of_ipr, restored

    def learns_from_facts_alone(self, batch: Batch) -> bool:
        """Whether CPEN does; of pairs as they are nothing is known, so pixels have to teach it."""
        reader = self.reader if self.recipe.facts_alone else None
        return reader is not None and reader.knows_of(batch.facts)

    def variety(self, ipr: Tensor) -> Terms:
        """Terms of the IPRs (B, 4C') of all processes."""
        weights = self.recipe.variety()
        return variety_terms(whole_batch(ipr.float()), weights) if weights else {}


def reader_of(recipe: Recipe, config: DiffIRConfig) -> FactsReader:
    """What reads off what Z is made of how LQ was made, for the crops that stage 1 begins with."""
    phase = recipe.stage1
    assert phase is not None
    side = config.scale * phase.lq_size
    few = config.ipr_bottleneck or config.ipr_dim
    return FactsReader(recipe.degradation, config.scale, side, few)


class Stage2(Stage):
    """What the phases of stage 2 have in common: the chain, and the teacher whose IPR it learns."""

    model: DiffIRS2
    teacher: DiffIRS1 | None

    def __init__(self, model: DiffIRS2, teacher: DiffIRS1 | None, ipr_loss: IPRLoss) -> None:
        super().__init__()
        self.model, self.ipr_loss = model.requires_grad_(True), ipr_loss
        self.teacher = teacher.requires_grad_(False).eval() if teacher else None

    def noise(self, draws: Draws) -> Noise:
        """ε of the forward process, and of every reverse step where variance is inserted."""
        config = self.model.config
        steps = config.timesteps if config.insert_variance else 0
        drawn = gaussian(draws, 1 + steps, config.ipr_dim)  # (B, 1 + T, 4C')
        return {"start": drawn[:, 0], "steps": drawn[:, 1:]}

    def true_ipr(self, batch: Batch) -> Tensor | None:
        """Z (B, 4C') of the teacher, where there is one."""
        if self.teacher is None:
            return None
        with torch.no_grad():
            return self.teacher.extract_ipr(batch.lq, batch.gt).float()

    def guess(self, batch: Batch, noise: Noise, ipr: Tensor | None) -> Tensor:
        """Ẑ (B, 4C') by all T reverse steps: from the noised Z, or from noise as in use."""
        start, config = noise["start"], self.model.config
        if ipr is not None and config.timesteps:
            start = self.model.diffusion.add_noise(ipr, start)
        steps = noise["steps"].transpose(0, 1) if config.insert_variance else None
        return self.model.estimate_ipr(batch.lq, start, steps).float()


class PriorPhase(Stage2):
    """Stage 2, first part: the diffusion learns to guess the teacher's IPR; DIRformer rests."""

    def __init__(self, model: DiffIRS2, teacher: DiffIRS1, ipr_loss: IPRLoss = IPR_L1) -> None:
        super().__init__(model, teacher, ipr_loss)
        model.dirformer.requires_grad_(False)

    def forward(self, batch: Batch, noise: Noise) -> tuple[Terms, None]:
        """L_diff."""
        ipr = self.true_ipr(batch)
        assert ipr is not None
        guessed = self.guess(batch, noise, ipr)
        return {self.ipr_loss.kind: ipr_term(self.ipr_loss, guessed, ipr)}, None


class SingleStep(PriorPhase):
    """The prior phase as diffusion is usually trained: one random t, no chain (the paper's V2)."""

    def noise(self, draws: Draws) -> Noise:
        """ε, and a t that the whole batch shares."""
        t = draws.shared("timestep").integers(self.model.config.timesteps)
        drawn = gaussian(draws, self.model.config.ipr_dim)
        return {"start": drawn, "t": torch.full((len(drawn),), int(t))}

    def forward(self, batch: Batch, noise: Noise) -> tuple[Terms, None]:
        """The same loss between what the denoiser predicts and what it should."""
        ipr, model, t = self.true_ipr(batch), self.model, int(noise["t"][0])
        assert ipr is not None
        noised = model.diffusion.add_noise(ipr, noise["start"], t)
        time = model.diffusion.scaled_time(t)
        predicted = model.denoiser(noised, time, model.extract_condition(batch.lq))
        wanted = ipr if model.config.prediction == "x0" else noise["start"]
        return {self.ipr_loss.kind: ipr_term(self.ipr_loss, predicted, wanted)}, None


class JointPhase(Stage2):
    """Stage 2, second part, and fine-tuning: everything learns, through all reverse steps.

    Fine-tuning can do without a teacher; then the chain begins in noise, as in use.
    """

    def __init__(
        self,
        model: DiffIRS2,
        teacher: DiffIRS1 | None,
        ipr_loss: IPRLoss = IPR_L1,
        restoration: RestorationLoss = L1,
    ) -> None:
        super().__init__(model, teacher, ipr_loss)
        self.restoration = restoration

    def forward(self, batch: Batch, noise: Noise) -> tuple[Terms, Tensor]:
        """L_rec, and L_diff beside a teacher."""
        ipr = self.true_ipr(batch)
        guessed = self.guess(batch, noise, ipr)
        restored = self.model.dirformer(batch.lq, guessed)
        terms = self.restoration(restored, batch)
        if ipr is not None:
            terms[self.ipr_loss.kind] = ipr_term(self.ipr_loss, guessed, ipr)
        return terms, restored


def gaussian(draws: Draws, *shape: int) -> Tensor:
    """Gaussian noise (B, *shape), drawn for each picture on the CPU, so that devices agree."""
    cpu = torch.device("cpu")
    drawn = [torch.randn(shape, generator=noise_generator(d, cpu)) for d in draws.own("noise")]
    return torch.stack(drawn)
