"""The discriminator's side of adversarial training: a stage of its own, in turn with the network's.

B batch, H × W pixels of the restored picture.
"""

from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.func import functional_call

from diffir.data import Batch
from diffir.errors import WeightsError
from diffir.files import write_whole
from diffir.losses import (
    GAN_LOSSES,
    PatchDiscriminator,
    UNetDiscriminator,
    fake_target,
    feature_matching,
    r1_penalty,
)
from diffir.recipe import Adversary

from .criteria import Terms
from .sharding import whole


class DiscriminatorStage(nn.Module):
    """A discriminator learns to tell restored pictures from true ones."""

    def __init__(self, settings: Adversary) -> None:
        super().__init__()
        self.settings = settings
        kinds = {"unet": UNetDiscriminator, "patch": PatchDiscriminator}
        self.model = kinds[settings.discriminator](settings.width)
        self.loss = GAN_LOSSES[settings.loss]

    def forward(self, batch: Batch, restored: Tensor, with_r1: bool = True) -> tuple[Terms, Tensor]:
        """What the discriminator minimises, and the share of logits on the right side.

        `restored` (B, 3, H, W) comes detached; `with_r1`: whether it is a step for the penalty.
        """
        r1_weight = self.settings.r1_weight if with_r1 else 0.0
        real = true_pictures(batch)
        mask = batch.mask if self.settings.mask_as_target else None
        if r1_weight:
            real = real.detach().requires_grad_()
        true_logits, made_logits = logits(self.model(real)), logits(self.model(restored))
        terms = {"discriminator": self.loss.discriminator(true_logits, made_logits, mask)}
        if r1_weight:
            penalty = r1_penalty(true_logits, real)
            terms["r1"] = self.settings.r1_every * r1_weight * penalty
        return terms, accuracy(true_logits.detach(), made_logits.detach(), mask)

    def judge(self, restored: Tensor, batch: Batch) -> Terms:
        """The network's terms; the discriminator rests, but for the averages that it keeps."""
        resting = {name: whole(tensor.detach()) for name, tensor in self.model.named_parameters()}
        made = functional_call(self.model, resting, restored)
        settings = self.settings
        terms = {"adversarial": settings.weight * self.loss.generator(logits(made))}
        if settings.feature_matching_weight:
            with torch.no_grad():
                true = functional_call(self.model, resting, true_pictures(batch))
            matched = feature_matching(made[1], true[1])
            terms["feature_matching"] = settings.feature_matching_weight * matched
        return terms


def true_pictures(batch: Batch) -> Tensor:
    """GT (B, 3, H, W) before it was sharpened: sharpened pictures are no model to be taken for."""
    return batch.gt if batch.plain_gt is None else batch.plain_gt


def logits(answer: Tensor | tuple[Tensor, list[Tensor]]) -> Tensor:
    """A discriminator's logits (B, 1, h, w), whether or not features come with them."""
    return answer[0] if isinstance(answer, tuple) else answer


def accuracy(true_logits: Tensor, made_logits: Tensor, mask: Tensor | None) -> Tensor:
    """The smaller of the shares of true and of made logits that are on the right side of 0."""
    hole = torch.ones_like(made_logits) if mask is None else fake_target(mask, made_logits)
    made_told = ((made_logits < 0) * hole).sum() / hole.sum().clamp(min=1)
    return torch.minimum((true_logits > 0).float().mean(), made_told)


def save_discriminator(network: nn.Module, path: Path) -> None:
    """Write a discriminator in full precision, for runs that begin with it."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_whole(safetensors.torch.save(tensors), path)


def load_discriminator(network: nn.Module, path: Path) -> None:
    """Fill a discriminator from a file; raises WeightsError."""
    try:
        network.load_state_dict(safetensors.torch.load_file(path))
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"{path} holds no discriminator of this kind and width "
            f"({' '.join(str(error).split())[:200]}); give one that such a run wrote"
        ) from error
