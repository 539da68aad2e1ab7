"""Adversarial losses against torch's own and against discriminators solved by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from diffir.losses import (
    GAN_LOSSES,
    HINGE,
    NON_SATURATING,
    R1_WEIGHT,
    VANILLA,
    GANLoss,
    fake_target,
    feature_matching,
    r1_penalty,
)


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


REAL, FAKE = gaussian(2, 1, 4, 4), gaussian(2, 1, 4, 4, seed=1)
ONE, ZERO = torch.ones_like(REAL), torch.zeros_like(REAL)
bce = F.binary_cross_entropy_with_logits


@pytest.mark.parametrize("loss", [VANILLA, NON_SATURATING])
def test_vanilla_and_non_saturating_are_binary_cross_entropy(loss: GANLoss) -> None:
    torch.testing.assert_close(loss.generator(FAKE), bce(FAKE, ONE))
    torch.testing.assert_close(loss.discriminator(REAL, FAKE), bce(REAL, ONE) + bce(FAKE, ZERO))


def test_an_undecided_discriminator_costs_two_log_two() -> None:
    assert VANILLA.discriminator(ZERO, ZERO).item() == pytest.approx(2 * math.log(2))


def test_hinge_is_linear_inside_its_margin() -> None:
    torch.testing.assert_close(HINGE.discriminator(0.5 * ONE, 0.25 * ONE).item(), 0.5 + 1.25)
    torch.testing.assert_close(HINGE.generator(FAKE), -FAKE.mean())


def test_hinge_leaves_a_sure_discriminator_alone() -> None:
    real, fake = (2 * ONE).requires_grad_(), (-3 * ONE).requires_grad_()
    loss = HINGE.discriminator(real, fake)
    loss.backward()
    assert real.grad is not None
    assert fake.grad is not None
    assert loss == 0
    assert not real.grad.any()
    assert not fake.grad.any()


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_generator_and_discriminator_pull_the_fake_logits_apart(name: str) -> None:
    loss, logits = GAN_LOSSES[name], (0.1 * FAKE).requires_grad_()
    (down,) = torch.autograd.grad(loss.discriminator(REAL, logits), logits)
    (up,) = torch.autograd.grad(loss.generator(logits), logits)
    assert (down > 0).all()
    assert (up < 0).all()


def test_the_mask_is_the_fake_target() -> None:
    mask = (gaussian(2, 1, 4, 4, seed=2) > 0).float()
    wanted = bce(REAL, ONE) + bce(FAKE, 1 - mask)
    torch.testing.assert_close(NON_SATURATING.discriminator(REAL, FAKE, mask), wanted)


def test_known_pixels_of_the_output_are_taught_as_real() -> None:
    mask = torch.zeros(2, 1, 16, 16)
    mask[..., :8] = 1
    fake = (0.1 * FAKE).requires_grad_()
    (slope,) = torch.autograd.grad(HINGE.discriminator(REAL, fake, mask), fake)
    assert (slope[..., :2] > 0).all()
    assert (slope[..., 2:] < 0).all()


def test_a_mask_full_of_hole_is_no_mask() -> None:
    torch.testing.assert_close(
        HINGE.discriminator(REAL, FAKE, torch.ones(2, 1, 64, 64)), HINGE.discriminator(REAL, FAKE)
    )


def test_the_mask_comes_down_to_the_logits_and_stays_hard() -> None:
    mask = (gaussian(2, 1, 16, 16) > 0).float()
    torch.testing.assert_close(fake_target(mask, REAL), mask[..., ::4, ::4], rtol=0, atol=0)
    odd = fake_target(mask, torch.zeros(2, 1, 5, 7))
    assert odd.shape == (2, 1, 5, 7)
    assert set(odd.unique().tolist()) == {0, 1}


def test_r1_of_a_linear_discriminator_is_the_squared_length_of_its_weight() -> None:
    weight = gaussian(3, 4, 4)
    real = gaussian(2, 3, 4, 4, seed=1).requires_grad_()
    logits = (real * weight).sum((1, 2, 3))
    torch.testing.assert_close(r1_penalty(logits, real), weight.square().sum())


def test_r1_is_a_mean_over_pictures_of_the_sum_of_their_logits() -> None:
    real = gaussian(3, 3, 4, 4).requires_grad_()
    scale = torch.tensor([1.0, 2.0, 3.0])[:, None, None, None]
    logits = scale * real.sum(1, keepdim=True)  # (3, 1, 4, 4), each value of slope `scale`
    assert r1_penalty(logits, real).item() == pytest.approx(48 * (1 + 4 + 9) / 3)
    assert R1_WEIGHT == 1e-3


def test_r1_teaches_the_discriminator() -> None:
    weight = gaussian(3, 4, 4).requires_grad_()
    real = gaussian(2, 3, 4, 4, seed=1).requires_grad_()
    r1_penalty((real * weight).sum((1, 2, 3)), real).backward()
    torch.testing.assert_close(weight.grad, 2 * weight.detach())


def test_features_match_by_squares_and_by_l1() -> None:
    fake, real = (
        [gaussian(2, 3, 4, 4), gaussian(2, 5, 2, 2)],
        [ZERO.expand(2, 3, 4, 4) for _ in "a"],
    )
    real.append(torch.ones(2, 5, 2, 2))
    squared = (fake[0].square().mean() + (fake[1] - 1).square().mean()) / 2
    torch.testing.assert_close(feature_matching(fake, real), squared)


def test_features_of_the_true_picture_learn_nothing() -> None:
    fake, real = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    feature_matching([fake], [real]).backward()
    assert fake.grad is not None
    assert fake.grad.any()
    assert real.grad is None


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_huge_bfloat16_logits_stay_finite(name: str) -> None:
    loss, far = GAN_LOSSES[name], (1e4 * FAKE).bfloat16().requires_grad_()
    mask = torch.ones(2, 1, 8, 8).bfloat16()
    total = (
        loss.discriminator(-far, far, mask) + loss.generator(far) + feature_matching([far], [REAL])
    )
    total.backward()
    assert far.grad is not None
    for part in (loss.generator(far), loss.discriminator(far, far), feature_matching([far], [far])):
        assert part.dtype == torch.float32
    assert total.isfinite()
    assert far.grad.isfinite().all()
