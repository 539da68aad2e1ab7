"""Inception-v3 of pytorch-fid: published names and shapes, and a forward pass by hand."""

import hashlib
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from diffir.evaluation import inception
from diffir.evaluation.inception import Inception, load_inception
from diffir.losses import PublicWeights

# Of every convolution as torchvision lists it: channels out and in, height and width
STEM = {
    "Conv2d_1a_3x3": (32, 3, 3, 3),
    "Conv2d_2a_3x3": (32, 32, 3, 3),
    "Conv2d_2b_3x3": (64, 32, 3, 3),
    "Conv2d_3b_1x1": (80, 64, 1, 1),
    "Conv2d_4a_3x3": (192, 80, 3, 3),
}
A_BLOCKS = {"Mixed_5b": (192, 32), "Mixed_5c": (256, 64), "Mixed_5d": (288, 64)}
C_BLOCKS = {"Mixed_6b": 128, "Mixed_6c": 160, "Mixed_6d": 160, "Mixed_6e": 192}
E_BLOCKS = {"Mixed_7b": 1280, "Mixed_7c": 2048}
B_BLOCK = {
    "branch3x3": (384, 288, 3, 3),
    "branch3x3dbl_1": (64, 288, 1, 1),
    "branch3x3dbl_2": (96, 64, 3, 3),
    "branch3x3dbl_3": (96, 96, 3, 3),
}
D_BLOCK = {
    "branch3x3_1": (192, 768, 1, 1),
    "branch3x3_2": (320, 192, 3, 3),
    "branch7x7x3_1": (192, 768, 1, 1),
    "branch7x7x3_2": (192, 192, 1, 7),
    "branch7x7x3_3": (192, 192, 7, 1),
    "branch7x7x3_4": (192, 192, 3, 3),
}


def a_block(dim: int, pool: int) -> dict[str, tuple[int, ...]]:
    return {
        "branch1x1": (64, dim, 1, 1),
        "branch5x5_1": (48, dim, 1, 1),
        "branch5x5_2": (64, 48, 5, 5),
        "branch3x3dbl_1": (64, dim, 1, 1),
        "branch3x3dbl_2": (96, 64, 3, 3),
        "branch3x3dbl_3": (96, 96, 3, 3),
        "branch_pool": (pool, dim, 1, 1),
    }


def c_block(c: int) -> dict[str, tuple[int, ...]]:
    return {
        "branch1x1": (192, 768, 1, 1),
        "branch7x7_1": (c, 768, 1, 1),
        "branch7x7_2": (c, c, 1, 7),
        "branch7x7_3": (192, c, 7, 1),
        "branch7x7dbl_1": (c, 768, 1, 1),
        "branch7x7dbl_2": (c, c, 7, 1),
        "branch7x7dbl_3": (c, c, 1, 7),
        "branch7x7dbl_4": (c, c, 7, 1),
        "branch7x7dbl_5": (192, c, 1, 7),
        "branch_pool": (192, 768, 1, 1),
    }


def e_block(dim: int) -> dict[str, tuple[int, ...]]:
    return {
        "branch1x1": (320, dim, 1, 1),
        "branch3x3_1": (384, dim, 1, 1),
        "branch3x3_2a": (384, 384, 1, 3),
        "branch3x3_2b": (384, 384, 3, 1),
        "branch3x3dbl_1": (448, dim, 1, 1),
        "branch3x3dbl_2": (384, 448, 3, 3),
        "branch3x3dbl_3a": (384, 384, 1, 3),
        "branch3x3dbl_3b": (384, 384, 3, 1),
        "branch_pool": (192, dim, 1, 1),
    }


def convolutions() -> dict[str, tuple[int, ...]]:
    """All of them by their full names."""
    blocks = {name: a_block(*sizes) for name, sizes in A_BLOCKS.items()}
    blocks["Mixed_6a"] = B_BLOCK
    blocks |= {name: c_block(c) for name, c in C_BLOCKS.items()}
    blocks["Mixed_7a"] = D_BLOCK
    blocks |= {name: e_block(dim) for name, dim in E_BLOCKS.items()}
    inside = {f"{block}.{conv}": s for block, convs in blocks.items() for conv, s in convs.items()}
    return STEM | inside


def seeded(width: int = 2) -> Inception:
    """A small network whose norms do something and through which a signal comes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Inception(width)
        for name, tensor in net.state_dict().items():
            if name.endswith(("bn.weight", "running_var")):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith(("bn.bias", "running_mean")):
                tensor.uniform_(-0.2, 0.2)
            elif name.endswith("conv.weight"):
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
    return net


def test_the_names_and_shapes_are_those_of_the_published_file() -> None:
    wanted: dict[str, tuple[int, ...]] = {}
    for name, shape in convolutions().items():
        wanted[f"{name}.conv.weight"] = shape
        for part in ("weight", "bias", "running_mean", "running_var"):
            wanted[f"{name}.bn.{part}"] = shape[:1]
        wanted[f"{name}.bn.num_batches_tracked"] = ()
    with torch.device("meta"):
        net = Inception()
    assert {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()} == wanted
    assert len(convolutions()) == 94
    # torchvision's 27,161,264 without 3,326,696 and 2,049,000 of its two classifiers
    assert sum(parameter.numel() for parameter in net.parameters()) == 21_785_568
    assert net.dim == 2048


def by_hand(net: Inception, x: Tensor) -> Tensor:
    """The network of Szegedy et al. with the pooling of the port from TensorFlow."""
    w = net.state_dict()

    def conv(x: Tensor, name: str, stride: int = 1, pad: bool = True) -> Tensor:
        kernel = w[f"{name}.conv.weight"]
        padding = [side // 2 for side in kernel.shape[2:]] if pad else 0
        x = F.conv2d(x, kernel, None, stride, padding)
        norm = [
            w[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        ]
        mean, variance, scale, shift = (values[:, None, None] for values in norm)
        return ((x - mean) / (variance + 1e-3).sqrt() * scale + shift).relu()

    def chain(x: Tensor, block: str, *names: str) -> Tensor:
        for name in names:
            x = conv(x, f"{block}.{name}")
        return x

    def mean3(x: Tensor) -> Tensor:
        """Of the neighbours that there are: the sum by their number."""
        ones = torch.ones_like(x)
        total, count = (9 * F.avg_pool2d(F.pad(z, [1] * 4), 3, 1) for z in (x, ones))
        return total / count

    def max3(x: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(x, [1] * 4, value=-torch.inf), 3, 1)

    def half(x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, 2)

    x = (x - 0.5) / 0.5
    x = conv(x, "Conv2d_1a_3x3", 2, False)
    x = half(conv(conv(x, "Conv2d_2a_3x3", 1, False), "Conv2d_2b_3x3"))
    x = half(conv(conv(x, "Conv2d_3b_1x1"), "Conv2d_4a_3x3", 1, False))
    triple = [f"branch3x3dbl_{i}" for i in (1, 2, 3)]
    for name in A_BLOCKS:
        parts = [
            chain(x, name, "branch1x1"),
            chain(x, name, "branch5x5_1", "branch5x5_2"),
            chain(x, name, *triple),
            chain(mean3(x), name, "branch_pool"),
        ]
        x = torch.cat(parts, 1)
    double = chain(x, "Mixed_6a", *triple[:2])
    parts = [
        conv(x, "Mixed_6a.branch3x3", 2, False),
        conv(double, "Mixed_6a." + triple[2], 2, False),
    ]
    x = torch.cat([*parts, half(x)], 1)
    for name in C_BLOCKS:
        parts = [
            chain(x, name, "branch1x1"),
            chain(x, name, *(f"branch7x7_{i}" for i in range(1, 4))),
            chain(x, name, *(f"branch7x7dbl_{i}" for i in range(1, 6))),
            chain(mean3(x), name, "branch_pool"),
        ]
        x = torch.cat(parts, 1)
    parts = [
        conv(chain(x, "Mixed_7a", "branch3x3_1"), "Mixed_7a.branch3x3_2", 2, False),
        conv(
            chain(x, "Mixed_7a", *(f"branch7x7x3_{i}" for i in range(1, 4))),
            "Mixed_7a.branch7x7x3_4",
            2,
            False,
        ),
    ]
    x = torch.cat([*parts, half(x)], 1)
    for name, pool in {"Mixed_7b": mean3, "Mixed_7c": max3}.items():
        one, two = chain(x, name, "branch3x3_1"), chain(x, name, *triple[:2])
        parts = [
            chain(x, name, "branch1x1"),
            *(chain(one, name, f"branch3x3_2{side}") for side in "ab"),
            *(chain(two, name, f"branch3x3dbl_3{side}") for side in "ab"),
            chain(pool(x), name, "branch_pool"),
        ]
        x = torch.cat(parts, 1)
    return x.mean((2, 3))


@torch.no_grad()
def test_the_features_are_those_of_a_network_put_together_by_hand() -> None:
    net = seeded().double()
    x = torch.rand(2, 3, 299, 299, generator=torch.Generator().manual_seed(0)).double()
    found = net(x)
    assert found.shape == (2, 128)
    assert found.std(dim=0).max() > 1e-6  # the pictures are told apart
    torch.testing.assert_close(found, by_hand(net, x), rtol=1e-9, atol=1e-12)


def test_it_rests() -> None:
    net = seeded().train()
    assert not any(module.training for module in net.modules())
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_the_published_file_is_loaded_without_its_classifier_or_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {k: v for k, v in seeded().state_dict().items() if "num_batches" not in k}
    torch.save({**state, "fc.weight": torch.zeros(2, 2), "fc.bias": torch.zeros(2)}, tmp_path / "x")
    sha256 = hashlib.sha256((tmp_path / "x").read_bytes()).hexdigest()
    name = f"pt_inception-2015-12-05-{sha256[:8]}.pth"
    (tmp_path / "x").rename(tmp_path / name)
    monkeypatch.setattr(inception, "INCEPTION_WEIGHTS", PublicWeights(name, "https://example.org"))
    monkeypatch.setattr(inception, "Inception", partial(Inception, 2))
    loaded = load_inception(tmp_path).state_dict()
    for key, tensor in state.items():
        torch.testing.assert_close(loaded[key], tensor, rtol=0, atol=0)


def test_the_hash_of_the_published_file_is_told_by_its_name() -> None:
    assert inception.INCEPTION_WEIGHTS.sha256_prefix == "6726825d"
