"""The phases of the method, each as one function: the losses on a batch.

A stage is a module, so that data-parallel training finds its parameters; only those that require a
gradient are trained.
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
"""The random tensors that a stage needs, one row for each picture, (B, …)."""
L1 = RestorationLoss(PixelL1())
IPR_L1 = IPRLoss()


class Stage(nn.Module):
    """A network and its losses; the loop is shared by all stages."""

    model: DiffIRS1 | DiffIRS2
    prior_rate = 1.0
    """Factor on the learning rate of the parameters that produce or use the IPR."""

    def __init__(self) -> None:
        super().__init__()
        self.reader: FactsReader | None = None
        """Trained beside the network, and discarded afterwards."""

    def noise(self, draws: Draws) -> Noise:
        """The random tensors for `forward`."""
        return {}

    def forward(self, batch: Batch, noise: Noise) -> tuple[Terms, Tensor | None]:
        """The loss terms by name, and the restored pictures, (B, 3, H, W)."""
        raise NotImplementedError


class Stage1(Stage):
    """Pretraining: DIRformer learns to use the IPR that CPEN extracts from LQ and ground truth."""

    model: DiffIRS1

    def __init__(
        self, model: DiffIRS1, restoration: RestorationLoss = L1, recipe: Recipe | None = None
    ) -> None:
        """Build; of the recipe, its settings of Z in stage 1, by default the authors' form."""
        super().__init__()
        self.model, self.restoration = model.requires_grad_(True), restoration
        self.recipe = recipe or Recipe()
        self.prior_rate = self.recipe.modulation_rate
        if isinstance(model.norm, BatchStandardization):
            model.norm.whole_batch = whole_batch
        if self.recipe.facts_weight:
            self.reader = reader_of(self.recipe, model.config)

    def noise(self, draws: Draws) -> Noise:
        """The noise added to Z, if any."""
        if not self.recipe.teacher_noise:
            return {}
        return {"ipr": gaussian(draws, self.model.config.ipr_dim)}

    def forward(self, batch: Batch, noise: Noise) -> tuple[Terms, Tensor]:
        """L_rec, and the recipe's terms of Z."""
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
        """Whether CPEN does; given pairs have no facts, so there it learns from the pixels."""
        reader = self.reader if self.recipe.facts_alone else None
        return reader is not None and reader.knows_of(batch.facts)

    def variety(self, ipr: Tensor) -> Terms:
        """Terms that keep the IPRs (B, 4C') of all processes apart."""
        weights = self.recipe.variety()
        return variety_terms(whole_batch(ipr.float()), weights) if weights else {}


def reader_of(recipe: Recipe, config: DiffIRConfig) -> FactsReader:
    """The facts reader of a recipe, for the crops that stage 1 starts with."""
    phase = recipe.stage1
    assert phase is not None
    side = config.scale * phase.lq_size
    few = config.ipr_bottleneck or config.ipr_dim
    return FactsReader(recipe.degradation, config.scale, side, few)


class Stage2(Stage):
    """What the phases of stage 2 share: the diffusion, and the teacher whose IPR it learns."""

    model: DiffIRS2
    teacher: DiffIRS1 | None

    def __init__(self, model: DiffIRS2, teacher: DiffIRS1 | None, ipr_loss: IPRLoss) -> None:
        super().__init__()
        self.model, self.ipr_loss = model.requires_grad_(True), ipr_loss
        self.teacher = teacher.requires_grad_(False).eval() if teacher else None

    def noise(self, draws: Draws) -> Noise:
        """ε of the forward process, and of every reverse step that inserts variance."""
        config = self.model.config
        steps = config.timesteps if config.insert_variance else 0
        drawn = gaussian(draws, 1 + steps, config.ipr_dim)  # (B, 1 + T, 4C')
        return {"start": drawn[:, 0], "steps": drawn[:, 1:]}

    def true_ipr(self, batch: Batch) -> Tensor | None:
        """The teacher's Z (B, 4C'), if there is one."""
        if self.teacher is None:
            return None
        with torch.no_grad():
            return self.teacher.extract_ipr(batch.lq, batch.gt).float()

    def predict(self, batch: Batch, noise: Noise, ipr: Tensor | None) -> Tensor:
        """Ẑ (B, 4C') by all T reverse steps: from the noised Z, or from noise as at inference."""
        start, config = noise["start"], self.model.config
        if ipr is not None and config.timesteps:
            start = self.model.diffusion.add_noise(ipr, start)
        steps = noise["steps"].transpose(0, 1) if config.insert_variance else None
        return self.model.estimate_ipr(batch.lq, start, steps).float()


class PriorPhase(Stage2):
    """Stage 2, first part: the diffusion learns the teacher's IPR; DIRformer is frozen."""

    def __init__(self, model: DiffIRS2, teacher: DiffIRS1, ipr_loss: IPRLoss = IPR_L1) -> None:
        super().__init__(model, teacher, ipr_loss)
        model.dirformer.requires_grad_(False)

    def forward(self, batch: Batch, noise: Noise) -> tuple[Terms, None]:
        """L_diff."""
        ipr = self.true_ipr(batch)
        assert ipr is not None
        predicted = self.predict(batch, noise, ipr)
        return {self.ipr_loss.kind: ipr_term(self.ipr_loss, predicted, ipr)}, None


class SingleStep(PriorPhase):
    """The prior phase as diffusion is usually trained: one random t, no chain (the paper's V2)."""

    def noise(self, draws: Draws) -> Noise:
        """ε, and one t for the whole batch."""
        t = draws.shared("timestep").integers(self.model.config.timesteps)
        drawn = gaussian(draws, self.model.config.ipr_dim)
        return {"start": drawn, "t": torch.full((len(drawn),), int(t))}

    def forward(self, batch: Batch, noise: Noise) -> tuple[Terms, None]:
        """L_diff between the denoiser's prediction and its target."""
        ipr, model, t = self.true_ipr(batch), self.model, int(noise["t"][0])
        assert ipr is not None
        noised = model.diffusion.add_noise(ipr, noise["start"], t)
        time = model.diffusion.scaled_time(t)
        predicted = model.denoiser(noised, time, model.extract_condition(batch.lq))
        target = ipr if model.config.prediction == "x0" else noise["start"]
        return {self.ipr_loss.kind: ipr_term(self.ipr_loss, predicted, target)}, None


class JointPhase(Stage2):
    """Stage 2, second part, and fine-tuning: everything is trained, through all reverse steps.

    Fine-tuning works without a teacher; then the chain starts from noise, as at inference.
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
        """L_rec, and with a teacher L_diff."""
        ipr = self.true_ipr(batch)
        predicted = self.predict(batch, noise, ipr)
        restored = self.model.dirformer(batch.lq, predicted)
        terms = self.restoration(restored, batch)
        if ipr is not None:
            terms[self.ipr_loss.kind] = ipr_term(self.ipr_loss, predicted, ipr)
        return terms, restored


def gaussian(draws: Draws, *shape: int) -> Tensor:
    """Gaussian noise (B, *shape), drawn per picture on the CPU, so that devices agree."""
    cpu = torch.device("cpu")
    drawn = [torch.randn(shape, generator=noise_generator(d, cpu)) for d in draws.own("noise")]
    return torch.stack(drawn)
