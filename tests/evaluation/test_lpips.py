"""LPIPS: against torchmetrics with its copy of the published heads, on trunks of random weights."""

import hashlib
import itertools
from functools import partial
from pathlib import Path

import pytest
import torch
import torchmetrics
from torch import Tensor, nn
from torchmetrics.functional.image import lpips as oracle

from diffir.errors import DataError, WeightsError
from diffir.evaluation import alexnet, lpips
from diffir.evaluation.alexnet import AlexNet, load_alexnet
from diffir.evaluation.lpips import LPIPS, Heads, VGG16Features
from diffir.losses import PublicWeights, load_into, vgg
from diffir.losses.vgg import VGG16

PUBLISHED_HEADS = Path(torchmetrics.__file__).parent / "functional/image/lpips_models"
NAMES = {"alex": "alex.pth", "vgg": "vgg.pth"}
ALEXNET_PLACES = {0: (1, 3, 11), 3: (3, 1, 5), 6: (6, 3, 3), 8: (4, 6, 3), 10: (4, 4, 3)}


def pictures(size: int = 64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    gt = torch.rand(2, 3, size, size + 8, generator=generator)
    noise = torch.rand(gt.shape, generator=generator)
    return torch.lerp(gt, noise, torch.tensor([0.1, 0.5])[:, None, None, None]), gt


def seeded(make: partial[nn.Module] | type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def with_published_heads(net: str) -> LPIPS:
    """A full trunk of random weights and the heads that are published."""
    trunk = seeded(AlexNet) if net == "alex" else VGG16Features(seeded(VGG16))
    heads = Heads(trunk.dims)
    load_into(heads, PUBLISHED_HEADS / NAMES[net])
    return LPIPS(trunk, heads)


def layers_as_torchvision_has_them(ours: LPIPS) -> nn.Sequential:
    """`features` of AlexNet or VGG-16, last ReLU included."""
    if isinstance(ours.features, AlexNet):
        return ours.features.features
    return nn.Sequential(*ours.features.vgg.features, nn.ReLU())


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_equals_torchmetrics(net: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = with_published_heads(net)
    layers = layers_as_torchvision_has_them(ours)
    monkeypatch.setattr(oracle, "_get_tv_model_features", lambda *_: layers)
    theirs = oracle._NoTrainLpips(net=net)
    restored, gt = pictures()
    wanted = theirs(restored, gt, normalize=True).flatten()
    assert wanted.min() > 1e-3
    # 1e-4: they keep the length of a feature from 0 in another way
    torch.testing.assert_close(ours(restored, gt), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_the_published_heads_are_found_by_their_name_and_hash(net: str) -> None:
    choices = {"alex": lpips.ALEXNET_HEADS, "vgg": lpips.VGG_HEADS}[net]
    assert lpips.find_any(choices, PUBLISHED_HEADS) == PUBLISHED_HEADS / NAMES[net]


def test_the_heads_of_pyiqa_are_the_same_file_by_another_name(tmp_path: Path) -> None:
    name = "LPIPS_v0.1_alex-df73285e.pth"
    (tmp_path / name).write_bytes((PUBLISHED_HEADS / "alex.pth").read_bytes())
    assert lpips.find_any(lpips.ALEXNET_HEADS, tmp_path) == tmp_path / name


def test_other_heads_of_the_name_are_refused(tmp_path: Path) -> None:
    torch.save(Heads([64, 192, 384, 256, 256]).state_dict(), tmp_path / "alex.pth")
    with pytest.raises(WeightsError, match=r"instead of df73285e…; it is broken or another file"):
        lpips.find_any(lpips.ALEXNET_HEADS, tmp_path)


def test_missing_heads_are_named_with_their_hash_and_address(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"^alex\.pth \(sha256 df73285e…\) is in none of .*v0\.1"
    ):
        lpips.find_any(lpips.ALEXNET_HEADS, tmp_path)


def test_equal_pictures_have_no_distance_and_a_batch_is_its_pictures() -> None:
    net = with_published_heads("alex")
    restored, gt = pictures()
    assert net(gt, gt).eq(0).all()
    apart = [net(r[None], g[None]) for r, g in zip(restored, gt, strict=True)]
    torch.testing.assert_close(net(restored, gt), torch.cat(apart))  # other order of sums
    assert net(restored, gt)[0] < net(restored, gt)[1]


def test_what_is_too_small_or_unequal_is_refused() -> None:
    net = LPIPS(AlexNet(1), Heads(AlexNet(1).dims))
    assert net(torch.rand(1, 3, 31, 31), torch.rand(1, 3, 31, 31)).shape == (1,)
    with pytest.raises(DataError, match="40×30 found; LPIPS needs 31×31"):
        net(torch.rand(1, 3, 30, 40), torch.rand(1, 3, 30, 40))
    with pytest.raises(ValueError, match="must be equal"):
        net(torch.rand(1, 3, 40, 40), torch.rand(2, 3, 40, 40))
    features = VGG16Features(VGG16(1))
    vgg_net = LPIPS(features, Heads(features.dims))
    assert vgg_net(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)).shape == (1,)
    with pytest.raises(DataError, match="16×15 found; LPIPS needs 16×16"):
        vgg_net(torch.rand(1, 3, 15, 16), torch.rand(1, 3, 15, 16))


def test_alexnet_has_the_names_and_sizes_of_torchvision() -> None:
    wanted = {}
    for place, (out, dim, kernel) in ALEXNET_PLACES.items():
        wanted[f"features.{place}.weight"] = (out * 64, dim * 64 if place else 3, kernel, kernel)
        wanted[f"features.{place}.bias"] = (out * 64,)
    with torch.device("meta"):
        net = AlexNet()
    assert {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()} == wanted
    assert sum(parameter.numel() for parameter in net.parameters()) == 2_469_696


def test_alexnet_gives_what_its_relus_say() -> None:
    net = seeded(partial(AlexNet, 2))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (pictures()[1] - mean[:, None, None]) / std[:, None, None]
    w = net.state_dict()
    taps = net(pictures()[1])
    for tap, (place, stride, padding) in zip(
        taps, [(0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)], strict=True
    ):
        if place in (3, 6):
            x = nn.functional.max_pool2d(x, 3, 2)
        x = nn.functional.conv2d(
            x, w[f"features.{place}.weight"], w[f"features.{place}.bias"], stride, padding
        ).relu()
        torch.testing.assert_close(tap, x)


def test_torchvisions_alexnet_is_loaded_without_its_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = seeded(partial(AlexNet, 2)).state_dict()
    name = saved({**state, "classifier.6.bias": torch.zeros(2)}, tmp_path, "alexnet-owt-{}.pth")
    monkeypatch.setattr(alexnet, "ALEXNET_WEIGHTS", PublicWeights(name, "https://example.org"))
    monkeypatch.setattr(alexnet, "AlexNet", partial(AlexNet, 2))
    for key, tensor in load_alexnet(tmp_path).state_dict().items():
        torch.testing.assert_close(tensor, state[key], rtol=0, atol=0)


def saved(state: dict[str, Tensor], folder: Path, name: str) -> str:
    """Write a file whose name tells its hash, and tell the name."""
    torch.save(state, folder / "file")
    name = name.format(hashlib.sha256((folder / "file").read_bytes()).hexdigest()[:8])
    (folder / "file").rename(folder / name)
    return name


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_is_put_together_from_its_two_files(
    net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trunk = {"alex": AlexNet, "vgg": VGG16}[net]
    module, constant = {"alex": (alexnet, "ALEXNET_WEIGHTS"), "vgg": (vgg, "VGG16_WEIGHTS")}[net]
    small = seeded(partial(trunk, 1))
    name = saved(small.state_dict(), tmp_path, "trunk-{}.pth")
    monkeypatch.setattr(module, constant, PublicWeights(name, "https://example.org"))
    monkeypatch.setattr(module, trunk.__name__, partial(trunk, 1))
    features = small if net == "alex" else VGG16Features(small)
    heads = seeded(partial(Heads, features.dims))
    head_name = saved(heads.state_dict(), tmp_path, "heads-{}.pth")
    sha256 = head_name.removeprefix("heads-").removesuffix(".pth")
    choices = [PublicWeights(head_name, "https://example.org", sha256)]
    monkeypatch.setattr(lpips, {"alex": "ALEXNET_HEADS", "vgg": "VGG_HEADS"}[net], choices)
    load = {"alex": lpips.load_lpips_alexnet, "vgg": lpips.load_lpips_vgg}[net]
    torch.testing.assert_close(load(tmp_path)(*pictures()), LPIPS(features, heads)(*pictures()))


def test_it_rests_and_lets_a_gradient_through() -> None:
    net = LPIPS(AlexNet(1), Heads(AlexNet(1).dims)).train()
    assert not any(module.training for module in net.modules() if module is not net)
    assert not any(parameter.requires_grad for parameter in net.parameters())
    restored = pictures()[0].requires_grad_()
    net(restored, pictures()[1]).sum().backward()
    assert restored.grad is not None
    assert restored.grad.any()


def test_the_five_features_of_vgg_are_of_falling_resolution_and_after_their_relu() -> None:
    features = VGG16Features(seeded(partial(VGG16, 2)))
    taps = features(pictures()[0])
    assert [tap.shape[1] for tap in taps] == features.dims == [2, 4, 8, 16, 16]
    sides = [tap.shape[-2] for tap in taps]
    assert all(a == 2 * b for a, b in itertools.pairwise(sides))
    assert all(tap.min() == 0 for tap in taps)
