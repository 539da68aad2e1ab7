"""VGG-19: against a chain of layers put together by hand."""

import hashlib
import io
import itertools
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from diffir.errors import WeightsError
from diffir.losses import VGG19, PublicWeights, load_into, load_vgg19, vgg

# Where torchvision's vgg19 has its convolutions
PLACES = {
    **{"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7},
    **{"conv3_1": 10, "conv3_2": 12, "conv3_3": 14, "conv3_4": 16},
    **{"conv4_1": 19, "conv4_2": 21, "conv4_3": 23, "conv4_4": 25},
    **{"conv5_1": 28, "conv5_2": 30, "conv5_3": 32, "conv5_4": 34},
}


def tiny(width: int = 2) -> VGG19:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VGG19(width)


def picture() -> Tensor:
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def by_hand(width: int = 2) -> nn.Sequential:
    """torchvision's `features`, pooling and last ReLU included."""
    layers: list[nn.Module] = []
    dim = 3
    for wide, convs in [(1, 2), (2, 2), (4, 4), (8, 4), (8, 4)]:
        for _ in range(convs):
            layers += [nn.Conv2d(dim, wide * width, 3, padding=1), nn.ReLU()]
            dim = wide * width
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


def test_the_names_are_those_of_torchvision() -> None:
    wanted = {
        f"features.{place}.{part}" for place in PLACES.values() for part in ("weight", "bias")
    }
    assert set(VGG19(1).state_dict()) == wanted  # and no mean or std among them


def test_the_full_size_is_that_of_the_paper() -> None:
    dims = [3, *[64] * 2, *[128] * 2, *[256] * 4, *[512] * 8]
    size = sum(9 * a * b + b for a, b in itertools.pairwise(dims))
    assert size == 20_024_384
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in VGG19().parameters()) == size


def test_taps_are_what_the_convolutions_say_before_their_relu() -> None:
    net, chain = tiny(), by_hand()
    chain.load_state_dict({k.removeprefix("features."): v for k, v in net.state_dict().items()})
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (picture() - mean[:, None, None]) / std[:, None, None]
    taps = net(picture(), PLACES)
    assert set(taps) == set(PLACES)
    for place, layer in enumerate(chain):
        x = layer(x)
        for name in [name for name, at in PLACES.items() if at == place]:
            torch.testing.assert_close(taps[name], x)
            assert taps[name].min() < 0  # no ReLU, not even in place


def test_only_wanted_taps_are_given_and_nothing_runs_beyond_them() -> None:
    net = tiny()
    net.features[3].register_forward_hook(lambda *_: pytest.fail("ran on"))
    assert set(net(picture(), {"conv1_2"})) == {"conv1_2"}


def test_it_rests_whatever_its_owner_does() -> None:
    owner = nn.ModuleList([tiny()])
    owner.train()
    assert not owner[0].training
    assert not any(parameter.requires_grad for parameter in owner.parameters())


def test_a_gradient_flows_through_to_the_picture() -> None:
    x = picture().requires_grad_()
    tiny()(x, {"conv5_4"})["conv5_4"].sum().backward()
    assert x.grad is not None
    assert x.grad.any()


def test_torchvisions_file_is_found_checked_and_loaded_without_its_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    torch.save({**tiny().state_dict(), "classifier.6.bias": torch.zeros(2)}, file)
    name = f"vgg19-{hashlib.sha256(file.getvalue()).hexdigest()[:8]}.pth"
    (tmp_path / name).write_bytes(file.getvalue())
    monkeypatch.setattr(vgg, "VGG19_WEIGHTS", PublicWeights(name, "https://example.org"))
    monkeypatch.setattr(vgg, "VGG19", partial(VGG19, 2))
    loaded = load_vgg19(tmp_path)
    for key, tensor in tiny().state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], tensor, rtol=0, atol=0)


def test_a_classifier_in_the_file_is_ignored(tmp_path: Path) -> None:
    state = {name: torch.rand_like(tensor) for name, tensor in tiny().state_dict().items()}
    path = tmp_path / "vgg.pth"
    torch.save(state | {"classifier.0.weight": torch.zeros(2, 2)}, path)
    net = tiny()
    with pytest.raises(WeightsError, match=r"has unexpected classifier\.0\.weight"):
        load_into(net, path)
    load_into(net, path, ignored=("classifier.",))
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)
