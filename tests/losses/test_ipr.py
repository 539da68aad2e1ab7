"""Losses on the IPR against formulas written a second way."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from diffir.losses import ipr_kl, ipr_l1, ipr_l2


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


ESTIMATED, TRUE = gaussian(3, 16), gaussian(3, 16, seed=1)


def test_l1_and_l2_are_those_of_torch() -> None:
    torch.testing.assert_close(ipr_l1(ESTIMATED, TRUE), F.l1_loss(ESTIMATED, TRUE))
    torch.testing.assert_close(ipr_l2(ESTIMATED, TRUE), F.mse_loss(ESTIMATED, TRUE))


@pytest.mark.parametrize("temperature", [0.15, 1.0])
def test_kl_is_its_definition_with_the_true_ipr_first(temperature: float) -> None:
    p = (TRUE / temperature).softmax(1)
    q = (ESTIMATED / temperature).softmax(1)
    wanted = (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(ipr_kl(ESTIMATED, TRUE, temperature), wanted)


def test_the_temperature_is_0_15() -> None:
    torch.testing.assert_close(ipr_kl(ESTIMATED, TRUE), ipr_kl(ESTIMATED, TRUE, 0.15))


def test_kl_is_zero_at_equality_and_above_elsewhere() -> None:
    assert ipr_kl(TRUE, TRUE).item() == pytest.approx(0, abs=1e-12)
    assert ipr_kl(ESTIMATED, TRUE) > 0


def test_kl_is_blind_to_a_shift_that_l1_sees() -> None:
    torch.testing.assert_close(ipr_kl(ESTIMATED + 5, TRUE - 2), ipr_kl(ESTIMATED, TRUE))
    assert ipr_l1(TRUE + 5, TRUE).item() == pytest.approx(5)


def test_kl_of_bfloat16_stays_finite_far_apart() -> None:
    estimated = (100 * ESTIMATED).bfloat16().requires_grad_()
    loss = ipr_kl(estimated, (-100 * ESTIMATED).bfloat16())
    loss.backward()
    assert estimated.grad is not None
    assert loss.isfinite()
    assert estimated.grad.isfinite().all()
