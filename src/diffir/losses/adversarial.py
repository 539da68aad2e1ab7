"""Losses of the game between a generator and a discriminator D, on D's logits (B, 1, h, w).

High logits mean real. D may answer once per pixel, once per patch or once per picture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

R1_WEIGHT = 1e-3  # of LaMa


@dataclass(frozen=True, kw_only=True)
class GANLoss:
    """A pair of losses: what the generator minimises, and what the discriminator does."""

    as_real: Callable[[Tensor], Tensor]
    """What each logit costs D where the picture is real."""
    as_fake: Callable[[Tensor], Tensor]
    """What each logit costs D where it is not."""
    wanted: Callable[[Tensor], Tensor]
    """What each logit of a restored picture costs the generator."""

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Mean cost of not being taken for real."""
        return self.wanted(fake_logits.float()).mean()

    def discriminator(
        self, real_logits: Tensor, fake_logits: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Mean cost of taking real for fake plus that of taking fake for real.

        With a mask (B, 1, H, W), 1 = hole, only the hole of the restored picture is fake and its
        known pixels are real (LaMa's 'mask as fake target'). Restored pictures come detached.
        """
        real, fake = real_logits.float(), fake_logits.float()
        share = torch.ones_like(fake) if mask is None else fake_target(mask, fake)
        on_fake = share * self.as_fake(fake) + (1 - share) * self.as_real(fake)
        return self.as_real(real).mean() + on_fake.mean()


def fake_target(mask: Tensor, logits: Tensor) -> Tensor:
    """The mask at the resolution of the logits, by the nearest pixel (LaMa); 1 = fake."""
    return F.interpolate(mask.to(logits), size=logits.shape[-2:], mode="nearest")


def bce_as_real(logits: Tensor) -> Tensor:
    """Binary cross-entropy `−log σ(x)` of calling it real."""
    return F.softplus(-logits)


def bce_as_fake(logits: Tensor) -> Tensor:
    """Binary cross-entropy `−log(1 − σ(x))` of calling it fake."""
    return F.softplus(logits)


def hinge_as_real(logits: Tensor) -> Tensor:
    """`max(0, 1 − x)`: what is clearly real costs nothing (Lim & Ye 2017)."""
    return F.relu(1 - logits)


def hinge_as_fake(logits: Tensor) -> Tensor:
    """`max(0, 1 + x)`: what is clearly fake costs nothing."""
    return F.relu(1 + logits)


NON_SATURATING = GANLoss(as_real=bce_as_real, as_fake=bce_as_fake, wanted=bce_as_real)
"""The generator minimises `−log σ(x)`, not `log(1 − σ(x))` (Goodfellow et al. 2014); LaMa."""
VANILLA = NON_SATURATING
"""What super-resolution calls vanilla is the same: cross-entropy with the target 'real'."""
HINGE = GANLoss(as_real=hinge_as_real, as_fake=hinge_as_fake, wanted=torch.neg)

GAN_LOSSES = {"hinge": HINGE, "non_saturating": NON_SATURATING, "vanilla": VANILLA}


def r1_penalty(real_logits: Tensor, real: Tensor) -> Tensor:
    """Squared gradient of D at real pictures, mean over the batch (Mescheder et al. 2018).

    `real` (B, …) must have required a gradient before D saw it. D's answer for a picture is the sum
    of its logits (LaMa, StyleGAN2), and there is no factor ½.
    """
    (gradient,) = torch.autograd.grad(real_logits.float().sum(), real, create_graph=True)
    return gradient.float().flatten(1).square().sum(1).mean()


def feature_matching(
    fake_features: Sequence[Tensor],
    real_features: Sequence[Tensor],
    criterion: Callable[[Tensor, Tensor], Tensor] = F.mse_loss,
) -> Tensor:
    """How far D's features of a restored picture are from those of the true one, mean over layers.

    Squared as in LaMa; `F.l1_loss` as in pix2pixHD. The true one's features are targets: no
    gradient goes there.
    """
    parts = [
        criterion(fake.float(), real.detach().float())
        for fake, real in zip(fake_features, real_features, strict=True)
    ]
    return torch.stack(parts).mean()
