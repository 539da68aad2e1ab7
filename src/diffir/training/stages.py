"""The phases of the method, each as one function: what is minimised on a batch."""

from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch import Tensor, nn

from diffir.data import Batch
from diffir.losses import charbonnier, ipr_kl, ipr_l1, ipr_l2, pixel_l1
from diffir.model import DiffIRS1, DiffIRS2

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of what a network made and what was wanted; a recipe knows it by its name."""
PIXEL_LOSSES: dict[str, Loss] = {loss.__name__: loss for loss in (pixel_l1, charbonnier)}
IPR_LOSSES: dict[str, Loss] = {loss.__name__: loss for loss in (ipr_l1, ipr_l2, ipr_kl)}


def named(loss: Loss, made: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """A loss under its name, by which it is logged."""
    return {loss.__name__: loss(made, wanted)}


class Stage(Protocol):
    """A network and what it learns; the loop is common to all."""

    @property
    def model(self) -> nn.Module:
        """The network that is averaged and saved."""

    def trainable(self) -> Iterable[nn.Parameter]:
        """The parameters that learn."""

    def losses(self, batch: Batch, noise: torch.Generator) -> dict[str, Tensor]:
        """The terms whose sum is minimised, by name."""


class Stage1:
    """Pretraining: DIRformer learns to use the IPR that CPEN reads off LQ and ground truth."""

    def __init__(self, model: DiffIRS1, pixel_loss: Loss = pixel_l1) -> None:
        self.model, self.pixel_loss = model, pixel_loss

    def trainable(self) -> Iterable[nn.Parameter]:
        """All of stage 1."""
        return self.model.parameters()

    def losses(self, batch: Batch, noise: torch.Generator) -> dict[str, Tensor]:
        """L_rec; draws no noise."""
        return named(self.pixel_loss, self.model(batch.lq, batch.gt), batch.gt)


class PriorPhase:
    """Stage 2, first part: the diffusion learns to guess the teacher's IPR; DIRformer rests."""

    def __init__(
        self,
        model: DiffIRS2,
        teacher: DiffIRS1,
        ipr_loss: Loss = ipr_l1,
        pixel_loss: Loss = pixel_l1,
    ) -> None:
        self.model, self.ipr_loss, self.pixel_loss = model, ipr_loss, pixel_loss
        self.teacher = teacher.requires_grad_(False).eval()

    def trainable(self) -> Iterable[nn.Parameter]:
        """CPEN_S2 and denoiser."""
        return [*self.model.cpen.parameters(), *self.model.denoiser.parameters()]

    def guess(self, batch: Batch, noise: torch.Generator) -> tuple[Tensor, Tensor]:
        """Ẑ by all T reverse steps from the teacher's noised Z, and that Z; (B, 4C') each."""
        with torch.no_grad():
            ipr = self.teacher.extract_ipr(batch.lq, batch.gt).float()
        start = self.model.diffusion.add_noise(ipr, gaussian_like(ipr, noise))
        steps = (self.model.config.timesteps, *ipr.shape)
        step_noise = (
            gaussian_like(ipr.new_empty(steps), noise)
            if self.model.config.insert_variance
            else None
        )
        return self.model.estimate_ipr(batch.lq, start, step_noise).float(), ipr

    def losses(self, batch: Batch, noise: torch.Generator) -> dict[str, Tensor]:
        """L_diff."""
        guessed, ipr = self.guess(batch, noise)
        return named(self.ipr_loss, guessed, ipr)


class JointPhase(PriorPhase):
    """Stage 2, second part: everything learns, through all reverse steps."""

    def trainable(self) -> Iterable[nn.Parameter]:
        """All of stage 2."""
        return self.model.parameters()

    def losses(self, batch: Batch, noise: torch.Generator) -> dict[str, Tensor]:
        """L_rec + L_diff."""
        guessed, ipr = self.guess(batch, noise)
        restored = self.model.dirformer(batch.lq, guessed)
        return {
            **named(self.pixel_loss, restored, batch.gt),
            **named(self.ipr_loss, guessed, ipr),
        }


def gaussian_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise drawn on the CPU, so that devices agree."""
    return torch.randn(like.shape, generator=generator).to(like)
