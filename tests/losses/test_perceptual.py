"""Perceptual losses against sums written out by hand."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.errors import RecipeError
from diffir.losses import (
    VGG19,
    VGG19_LAYER_WEIGHTS,
    DilatedResNet50,
    HighReceptiveFieldLoss,
    PerceptualLoss,
    gram,
)

with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    VGG, RESNET = VGG19(width=2), DilatedResNet50(width=2)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


RESTORED, GT = uniform(2, 3, 32, 32), uniform(2, 3, 32, 32, seed=1)
LOSSES = {
    "perceptual": PerceptualLoss(VGG),
    "with style": PerceptualLoss(VGG, style_weight=1),
    "high receptive field": HighReceptiveFieldLoss(RESNET),
}


def test_layers_weigh_what_the_authors_gave_them() -> None:
    assert VGG19_LAYER_WEIGHTS == {
        **{"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1, "conv4_4": 1, "conv5_4": 1}
    }


def test_the_perceptual_loss_is_a_weighted_sum_of_l1() -> None:
    seen, true = VGG(RESTORED, VGG19_LAYER_WEIGHTS), VGG(GT, VGG19_LAYER_WEIGHTS)
    parts = [w * F.l1_loss(seen[name], true[name]) for name, w in VGG19_LAYER_WEIGHTS.items()]
    torch.testing.assert_close(PerceptualLoss(VGG)(RESTORED, GT), sum(parts, torch.zeros(())))


def test_style_is_the_same_over_gram_matrices() -> None:
    weights = {"conv1_2": 0.5, "conv3_4": 2.0}
    seen, true = VGG(RESTORED, weights), VGG(GT, weights)
    style = sum(w * (gram(seen[k]) - gram(true[k])).abs().mean() for k, w in weights.items())
    plain, styled = PerceptualLoss(VGG, weights), PerceptualLoss(VGG, weights, style_weight=7)
    torch.testing.assert_close(styled(RESTORED, GT) - plain(RESTORED, GT), 7 * style)


def test_a_gram_matrix_is_the_inner_products_of_channels_by_size() -> None:
    features = uniform(2, 3, 4, 5)
    for b, i, j in product(range(2), range(3), range(3)):
        wanted = (features[b, i] * features[b, j]).sum() / 60
        torch.testing.assert_close(gram(features)[b, i, j], wanted)


def test_the_high_receptive_field_loss_adds_the_mean_squares_of_four_stages() -> None:
    parts = [F.mse_loss(s, t) for s, t in zip(RESNET(RESTORED), RESNET(GT), strict=True)]
    assert len(parts) == 4
    torch.testing.assert_close(HighReceptiveFieldLoss(RESNET)(RESTORED, GT), sum(parts))


@pytest.mark.parametrize("name", LOSSES)
def test_equal_pictures_cost_nothing(name: str) -> None:
    assert LOSSES[name](GT, GT) == 0
    assert LOSSES[name](RESTORED, GT) > 0


@pytest.mark.parametrize("name", LOSSES)
def test_only_the_restored_picture_learns(name: str) -> None:
    restored, gt = RESTORED.clone().requires_grad_(), GT.clone().requires_grad_()
    LOSSES[name](restored, gt).backward()
    assert restored.grad is not None
    assert restored.grad.any()
    assert gt.grad is None
    assert all(parameter.grad is None for parameter in LOSSES[name].parameters())


@pytest.mark.parametrize("name", LOSSES)
def test_bfloat16_autocast_stays_finite_and_near(name: str) -> None:
    loss: nn.Module = LOSSES[name]
    restored = RESTORED.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        rough = loss(restored, GT)
    rough.backward()
    assert restored.grad is not None
    assert restored.grad.isfinite().all()
    assert rough.dtype == torch.float32
    # 5 %: 8 bits of mantissa through up to fifty layers
    assert rough.item() == pytest.approx(loss(RESTORED, GT).item(), rel=0.05)


def test_pictures_of_bfloat16_are_taken() -> None:
    loss = LOSSES["perceptual"](RESTORED.bfloat16(), GT.bfloat16())
    assert loss.isfinite()


def test_an_unknown_layer_is_named_before_training() -> None:
    with pytest.raises(RecipeError, match=r"layer 'conv9_1' found .* choose from conv1_1"):
        PerceptualLoss(VGG, {"conv1_2": 1.0, "conv9_1": 1.0})
