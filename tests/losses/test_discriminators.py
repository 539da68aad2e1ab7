"""Discriminators: their sizes by arithmetic, their shapes, and what holds them in check."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.losses import PatchDiscriminator, UNetDiscriminator, r1_penalty


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def seeded(kind: type[nn.Module], **sizes: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(**sizes)


def conv(dim: int, out: int, kernel: int, *, bias: bool) -> int:
    return dim * out * kernel**2 + bias * out


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_u_net_has_the_published_size() -> None:
    down = [
        conv(64, 128, 4, bias=False),
        conv(128, 256, 4, bias=False),
        conv(256, 512, 4, bias=False),
    ]
    up = [
        conv(512, 256, 3, bias=False),
        conv(256, 128, 3, bias=False),
        conv(128, 64, 3, bias=False),
    ]
    ends = [
        conv(3, 64, 3, bias=True),
        *[conv(64, 64, 3, bias=False)] * 2,
        conv(64, 1, 3, bias=True),
    ]
    assert sum(down + up + ends) == 4_376_897
    with torch.device("meta"):
        assert count(UNetDiscriminator()) == 4_376_897


def test_the_patch_discriminator_has_the_published_size_but_for_biases_before_norms() -> None:
    dims = [3, 64, 128, 256, 512, 512, 1]
    convs = [conv(dim, out, 4, bias=True) for dim, out in itertools.pairwise(dims)]
    norms = [2 * dim for dim in dims[2:-1]]
    assert sum(convs + norms) == 6_962_369
    with torch.device("meta"):
        assert count(PatchDiscriminator()) == 6_962_369 - sum(dims[2:-1])


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (19, 13)])
def test_the_u_net_answers_for_every_pixel(size: tuple[int, int]) -> None:
    logits = seeded(UNetDiscriminator, width=4)(uniform(2, 3, *size))
    assert logits.shape == (2, 1, *size)


def test_the_u_net_is_a_chain_with_three_skips() -> None:
    net = seeded(UNetDiscriminator, width=4).eval()
    x = uniform(1, 3, 16, 16)

    def step(layer: nn.Module, x: Tensor) -> Tensor:
        return F.leaky_relu(layer(x), 0.2)

    def double(x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    x0 = step(net.head, x)
    x1 = step(net.downs[0], x0)
    x2 = step(net.downs[1], x1)
    x3 = step(net.downs[2], x2)
    assert x3.shape == (1, 32, 2, 2)
    x4 = step(net.ups[0], double(x3)) + x2
    x5 = step(net.ups[1], double(x4)) + x1
    x6 = step(net.ups[2], double(x5)) + x0
    wanted = net.tail(step(net.refine[1], step(net.refine[0], x6)))
    torch.testing.assert_close(net(x), wanted)


def test_spectral_norm_holds_the_inner_weights_at_one() -> None:
    net = seeded(UNetDiscriminator, width=4)
    for parameter in net.parameters():
        parameter.data.mul_(30)
    for _ in range(60):  # each forward pass is a step of the power iteration
        net(uniform(1, 3, 8, 8))
    inner = [*net.downs, *net.ups, *net.refine]
    norms = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in inner]
    # 2e-2: what the power iteration has left
    assert norms == pytest.approx([1] * 8, abs=2e-2)
    assert torch.linalg.matrix_norm(net.head.weight.flatten(1), 2) > 2


def test_the_patch_discriminator_gives_logits_and_the_features_before() -> None:
    net = seeded(PatchDiscriminator, width=4)
    logits, features = net(uniform(2, 3, 64, 64))
    # (n + 2·2 − 4) / 2 + 1 for each stride of 2; two more convolutions add one each
    assert logits.shape == (2, 1, 7, 7)
    sides = [33, 17, 9, 5, 6]
    dims = [4, 8, 16, 32, 32]
    assert [f.shape for f in features] == [(2, c, s, s) for c, s in zip(dims, sides, strict=True)]
    torch.testing.assert_close(net.tail(features[-1]), logits)


def test_the_first_layer_alone_has_no_batch_norm() -> None:
    net = PatchDiscriminator(width=4)
    normed = [any(isinstance(part, nn.BatchNorm2d) for part in layer) for layer in net.layers]
    assert normed == [False, True, True, True, True]


@pytest.mark.parametrize("kind", [UNetDiscriminator, PatchDiscriminator])
def test_r1_can_be_learned_through(kind: type[nn.Module]) -> None:
    net, real = seeded(kind, width=4), uniform(2, 3, 32, 32).requires_grad_()
    answer = net(real)
    logits = answer if isinstance(answer, Tensor) else answer[0]
    r1_penalty(logits, real).backward()
    slopes = [parameter.grad for parameter in net.parameters() if parameter.ndim > 1]
    assert all(slope is not None and slope.isfinite().all() and slope.any() for slope in slopes)


@pytest.mark.parametrize("kind", [UNetDiscriminator, PatchDiscriminator])
def test_bfloat16_autocast_stays_finite(kind: type[nn.Module]) -> None:
    net = seeded(kind, width=4)
    with torch.autocast("cpu", torch.bfloat16):
        answer = net(uniform(2, 3, 32, 32))
    logits = answer if isinstance(answer, Tensor) else answer[0]
    logits.float().sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
