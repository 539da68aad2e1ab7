"""Pixel losses against closed forms."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from diffir.losses import charbonnier, masked_l1, negative_psnr, pixel_l1


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


RESTORED, GT = uniform(2, 3, 8, 6), uniform(2, 3, 8, 6, seed=1)


def left_half() -> Tensor:
    mask = torch.zeros(2, 1, 8, 6)
    mask[..., :3] = 1
    return mask


def test_l1_is_that_of_torch() -> None:
    torch.testing.assert_close(pixel_l1(RESTORED, GT), F.l1_loss(RESTORED, GT))


def test_known_pixels_weigh_ten_and_the_hole_nothing() -> None:
    known = (RESTORED - GT)[..., 3:].abs()
    torch.testing.assert_close(masked_l1(RESTORED, GT, left_half()), 10 * known.mean() / 2)


def test_a_weight_on_the_hole_is_added() -> None:
    both = masked_l1(RESTORED, GT, left_half(), known_weight=1, hole_weight=1)
    torch.testing.assert_close(both, F.l1_loss(RESTORED, GT))
    hole = masked_l1(RESTORED, GT, left_half(), known_weight=0, hole_weight=4)
    torch.testing.assert_close(hole, 4 * (RESTORED - GT)[..., :3].abs().mean() / 2)


def test_the_hole_teaches_nothing_by_default() -> None:
    restored = RESTORED.clone().requires_grad_()
    masked_l1(restored, GT, left_half()).backward()
    assert restored.grad is not None
    assert not restored.grad[..., :3].any()
    assert restored.grad[..., 3:].all()


def test_charbonnier_is_eps_at_equality_and_l1_far_away() -> None:
    zero = torch.zeros(1, 3, 4, 4)
    torch.testing.assert_close(charbonnier(zero, zero).item(), 1e-3)
    assert charbonnier(zero + 1, zero).item() == pytest.approx((1 + 1e-6) ** 0.5)
    # 3-4-5 triangle
    assert charbonnier(zero + 3, zero, eps=4).item() == pytest.approx(5)


def test_charbonnier_has_a_slope_of_zero_where_l1_has_a_kink() -> None:
    restored = torch.zeros(1, 3, 4, 4, requires_grad=True)
    charbonnier(restored, torch.zeros(1, 3, 4, 4)).backward()
    assert restored.grad is not None
    assert not restored.grad.any()


def test_bfloat16_stays_finite() -> None:
    restored = RESTORED.bfloat16().requires_grad_()
    gt = RESTORED.bfloat16()  # equal: the square root's worst place
    total = charbonnier(restored, gt) + masked_l1(restored, gt, left_half().bfloat16())
    total.backward()
    assert restored.grad is not None
    assert total.isfinite()
    assert restored.grad.isfinite().all()


def test_negative_psnr_is_the_mean_over_pictures_in_db() -> None:
    errors = (RESTORED - GT).square().flatten(1).mean(1)
    wanted = (10 * errors.log10()).mean()
    torch.testing.assert_close(negative_psnr(RESTORED, GT), wanted, atol=1e-5, rtol=0)
    assert negative_psnr(GT + 0.1, GT).item() == pytest.approx(-20, abs=1e-4)


def test_beside_a_mask_it_is_that_of_the_hole() -> None:
    restored = torch.where(left_half() > 0, GT + 0.1, torch.zeros(()))
    assert negative_psnr(restored, GT, left_half()).item() == pytest.approx(-20, abs=1e-4)


def test_equal_pictures_and_no_hole_at_all_teach_nothing() -> None:
    for restored, mask in ((GT, None), (RESTORED, torch.zeros(2, 1, 8, 6))):
        learning = restored.clone().requires_grad_()
        negative_psnr(learning, GT, mask).backward()
        assert learning.grad is not None
        assert not learning.grad.any()
