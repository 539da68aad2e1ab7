"""The discriminator of adversarial training, as a stage of its own, trained in turn.

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
from diffir.text import one_line

from .criteria import Terms
from .sharding import whole


class DiscriminatorStage(nn.Module):
    """Trains a discriminator between restored and true pictures."""

    def __init__(self, settings: Adversary) -> None:
        super().__init__()
        self.settings = settings
        kinds = {"unet": UNetDiscriminator, "patch": PatchDiscriminator}
        self.model = kinds[settings.discriminator](settings.width)
        self.loss = GAN_LOSSES[settings.loss]

    def forward(self, batch: Batch, restored: Tensor, with_r1: bool = True) -> tuple[Terms, Tensor]:
        """The discriminator's terms, and its accuracy.

        `restored` (B, 3, H, W) must be detached; `with_r1`: whether to apply the penalty.
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
        """The network's terms; the discriminator gets no gradient, but updates its buffers."""
        frozen = {name: whole(tensor.detach()) for name, tensor in self.model.named_parameters()}
        made = functional_call(self.model, frozen, restored)
        settings = self.settings
        terms = {"adversarial": settings.weight * self.loss.generator(logits(made))}
        if settings.feature_matching_weight:
            with torch.no_grad():
                true = functional_call(self.model, frozen, true_pictures(batch))
            matched = feature_matching(made[1], true[1])
            terms["feature_matching"] = settings.feature_matching_weight * matched
        return terms


def true_pictures(batch: Batch) -> Tensor:
    """GT (B, 3, H, W) before sharpening: the network should not imitate sharpened pictures."""
    return batch.gt if batch.plain_gt is None else batch.plain_gt


def logits(output: Tensor | tuple[Tensor, list[Tensor]]) -> Tensor:
    """A discriminator's logits (B, 1, h, w), with or without features beside them."""
    return output[0] if isinstance(output, tuple) else output


def accuracy(true_logits: Tensor, made_logits: Tensor, mask: Tensor | None) -> Tensor:
    """The lower of the accuracies on true and on restored pictures (there, in the hole)."""
    hole = torch.ones_like(made_logits) if mask is None else fake_target(mask, made_logits)
    on_made = ((made_logits < 0) * hole).sum() / hole.sum().clamp(min=1)
    return torch.minimum((true_logits > 0).float().mean(), on_made)


def save_discriminator(network: nn.Module, path: Path) -> None:
    """Write a discriminator in full precision, for runs that start from it."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_whole(safetensors.torch.save(tensors), path)


def load_discriminator(network: nn.Module, path: Path) -> None:
    """Load a discriminator from a file; raises WeightsError."""
    try:
        network.load_state_dict(safetensors.torch.load_file(path))
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"{path} holds no discriminator of this kind and width "
            f"({one_line(error)}); give one written by such a run"
        ) from error
