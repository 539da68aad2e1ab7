"""VGG-16: torchvision's names and sizes, and a pooling of one's own."""

import hashlib
import io
import itertools
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from diffir.losses import PublicWeights, vgg
from diffir.losses.vgg import VGG16, load_vgg16, vgg_places

# Where torchvision's vgg16 has its convolutions
PLACES = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
DIMS = [3, *[64] * 2, *[128] * 2, *[256] * 3, *[512] * 6]


def test_the_names_and_shapes_are_those_of_torchvision() -> None:
    wanted = {}
    for place, (dim, out) in zip(PLACES, itertools.pairwise(DIMS), strict=True):
        wanted[f"features.{place}.weight"] = (out, dim, 3, 3)
        wanted[f"features.{place}.bias"] = (out,)
    with torch.device("meta"):
        net = VGG16()
    assert {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()} == wanted
    assert sum(parameter.numel() for parameter in net.parameters()) == 14_714_688


def test_the_places_are_named_as_in_the_paper() -> None:
    places = vgg_places((2, 2, 3, 3, 3))
    assert list(places.values()) == PLACES
    assert [*places][::4] == ["conv1_1", "conv3_1", "conv4_2", "conv5_3"]


def test_the_dims_are_those_of_the_convolutions() -> None:
    net = VGG16(2)
    names = dict(zip(vgg_places((2, 2, 3, 3, 3)), PLACES, strict=True))
    assert net.dims == {name: net.features[place].out_channels for name, place in names.items()}


def test_a_pooling_of_ones_own_takes_the_place_of_the_maximum() -> None:
    net = VGG16(1, pool=partial(nn.AvgPool2d, 2))
    assert [type(net.features[place]) for place in (4, 9, 16, 23)] == [nn.AvgPool2d] * 4
    assert set(net.state_dict()) == set(VGG16(1).state_dict())


def test_torchvisions_file_is_found_checked_and_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = VGG16(2).state_dict()
    file = io.BytesIO()
    torch.save({**state, "classifier.6.bias": torch.zeros(2)}, file)
    name = f"vgg16-{hashlib.sha256(file.getvalue()).hexdigest()[:8]}.pth"
    (tmp_path / name).write_bytes(file.getvalue())
    monkeypatch.setattr(vgg, "VGG16_WEIGHTS", PublicWeights(name, "https://example.org"))
    monkeypatch.setattr(vgg, "VGG16", partial(VGG16, 2))
    for key, tensor in load_vgg16(tmp_path).state_dict().items():
        torch.testing.assert_close(tensor, state[key], rtol=0, atol=0)
