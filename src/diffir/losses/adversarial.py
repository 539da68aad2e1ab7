"""Adversarial losses of a generator and a discriminator D, on D's logits (B, 1, h, w).

High logits mean real. D may give one logit per pixel, per patch or per picture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

R1_WEIGHT = 1e-3  # LaMa's


@dataclass(frozen=True, kw_only=True)
class GANLoss:
    """A pair of losses: the generator's and the discriminator's."""

    as_real: Callable[[Tensor], Tensor]
    """D's loss for each logit where the target is real."""
    as_fake: Callable[[Tensor], Tensor]
    """D's loss for each logit where the target is fake."""
    wanted: Callable[[Tensor], Tensor]
    """The generator's loss for each logit of a restored picture."""

    def generator(self, fake_logits: Tensor) -> Tensor:
        """The generator's mean loss."""
        return self.wanted(fake_logits.float()).mean()

    def discriminator(
        self, real_logits: Tensor, fake_logits: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """D's mean loss on real pictures plus that on restored ones.

        With a mask (B, 1, H, W), 1 = hole, only the hole of the restored picture is fake and its
        known pixels are real (LaMa's 'mask as fake target'). `fake_logits` are those of detached
        pictures.
        """
        real, fake = real_logits.float(), fake_logits.float()
        share = torch.ones_like(fake) if mask is None else fake_target(mask, fake)
        on_fake = share * self.as_fake(fake) + (1 - share) * self.as_real(fake)
        return self.as_real(real).mean() + on_fake.mean()


def fake_target(mask: Tensor, logits: Tensor) -> Tensor:
    """The mask at the resolution of the logits, by the nearest pixel (LaMa); 1 = fake."""
    return F.interpolate(mask.to(logits), size=logits.shape[-2:], mode="nearest")


def bce_as_real(logits: Tensor) -> Tensor:
    """Binary cross-entropy with target real, `−log σ(x)`."""
    return F.softplus(-logits)


def bce_as_fake(logits: Tensor) -> Tensor:
    """Binary cross-entropy with target fake, `−log(1 − σ(x))`."""
    return F.softplus(logits)


def hinge_as_real(logits: Tensor) -> Tensor:
    """`max(0, 1 − x)`: 0 for logits that are clearly real (Lim & Ye 2017)."""
    return F.relu(1 - logits)


def hinge_as_fake(logits: Tensor) -> Tensor:
    """`max(0, 1 + x)`: 0 for logits that are clearly fake."""
    return F.relu(1 + logits)


NON_SATURATING = GANLoss(as_real=bce_as_real, as_fake=bce_as_fake, wanted=bce_as_real)
"""The generator minimises `−log σ(x)`, not `log(1 − σ(x))` (Goodfellow et al. 2014); LaMa."""
VANILLA = NON_SATURATING
"""The name of the same loss in super-resolution: cross-entropy with target real."""
HINGE = GANLoss(as_real=hinge_as_real, as_fake=hinge_as_fake, wanted=torch.neg)

GAN_LOSSES = {"hinge": HINGE, "non_saturating": NON_SATURATING, "vanilla": VANILLA}


def r1_penalty(real_logits: Tensor, real: Tensor) -> Tensor:
    """Squared gradient of D at real pictures, mean over the batch (Mescheder et al. 2018).

    `real` (B, …) must require a gradient before D is applied to it. D's output for a picture is the
    sum of its logits (LaMa, StyleGAN2), and there is no factor ½.
    """
    (gradient,) = torch.autograd.grad(real_logits.float().sum(), real, create_graph=True)
    return gradient.float().flatten(1).square().sum(1).mean()


def feature_matching(fake_features: Sequence[Tensor], real_features: Sequence[Tensor]) -> Tensor:
    """Mean squared difference of D's features of restored and true pictures, mean over layers.

    As in LaMa; pix2pixHD takes the absolute difference. The true pictures' features get no
    gradient.
    """
    parts = [
        F.mse_loss(fake.float(), real.detach().float())
        for fake, real in zip(fake_features, real_features, strict=True)
    ]
    return torch.stack(parts).mean()
