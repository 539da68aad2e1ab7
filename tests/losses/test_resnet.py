"""The dilated ResNet-50: against its strided twin, and its size by arithmetic."""

from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from diffir.losses import DilatedResNet50, load_dilated_resnet50, load_into, resnet


def tiny() -> DilatedResNet50:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = DilatedResNet50(width=2)
        for norm in (part for part in net.modules() if isinstance(part, nn.BatchNorm2d)):
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.2, 1)
        return net


def picture() -> Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def strided(net: DilatedResNet50) -> DilatedResNet50:
    """The same weights in a usual ResNet-50: strides in stages 3 and 4, no dilation."""
    net = deepcopy(net)
    for layer in (net.layer3, net.layer4):
        for block in layer:
            block.conv2.dilation = block.conv2.padding = (1, 1)
        layer[0].conv2.stride = layer[0].downsample[0].stride = (2, 2)
    return net


def test_stages_keep_an_eighth_of_the_resolution() -> None:
    shapes = [tuple(feature.shape) for feature in tiny()(picture())]
    assert shapes == [(2, 8, 16, 24), (2, 16, 8, 12), (2, 32, 8, 12), (2, 64, 8, 12)]


def test_it_says_what_a_strided_resnet_says_at_more_places() -> None:
    net = tiny()
    dense, sparse = net(picture()), strided(net)(picture())
    for every, fine, coarse in zip((1, 1, 2, 4), dense, sparse, strict=True):
        assert coarse.any()
        torch.testing.assert_close(fine[..., ::every, ::every], coarse)


def test_the_stem_is_deep_and_shrinks_by_four() -> None:
    net = tiny()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (picture() - mean[:, None, None]) / std[:, None, None]
    for conv, norm in [(net.conv1, net.bn1), (net.conv2, net.bn2), (net.conv3, net.bn3)]:
        x = norm(conv(x)).relu()
    x = nn.MaxPool2d(3, 2, 1)(x)
    torch.testing.assert_close(net.layer1(x), net(picture())[0])


def test_a_bottleneck_normalises_after_each_convolution_and_goes_around() -> None:
    net = tiny()
    for dim, block in [(4, net.layer1[0]), (16, net.layer2[1])]:
        x = torch.rand(1, dim, 8, 8, generator=torch.Generator().manual_seed(1))
        y = block.bn1(block.conv1(x)).relu()
        y = block.bn2(block.conv2(y)).relu()
        y = block.bn3(block.conv3(y))
        around = block.downsample(x) if dim == 4 else x
        torch.testing.assert_close(block(x), (y + around).relu())


def test_the_full_size_is_resnet50_with_the_deep_stem() -> None:
    def bottleneck(dim: int, width: int) -> int:
        out = 4 * width
        around = dim * out + 2 * out if dim != out else 0
        return dim * width + 9 * width**2 + width * out + 4 * width + 2 * out + around

    stem = 9 * (3 * 64 + 64 * 64 + 64 * 128) + 2 * (64 + 64 + 128)
    stages = sum(
        bottleneck(dim, width) + (blocks - 1) * bottleneck(4 * width, width)
        for dim, width, blocks in [(128, 64, 3), (256, 128, 4), (512, 256, 6), (1024, 512, 3)]
    )
    assert stem + stages == 23_631_808
    with torch.device("meta"):
        assert sum(p.numel() for p in DilatedResNet50().parameters()) == 23_631_808


def test_names_are_those_of_the_published_encoder() -> None:
    names = set(tiny().state_dict())
    assert {"conv3.weight", "bn3.running_var", "layer1.0.downsample.0.weight"} <= names
    assert {"layer3.5.conv2.weight", "layer4.2.bn3.bias", "layer4.0.downsample.1.weight"} <= names
    weights = [name for name in names if not name.endswith("num_batches_tracked")]
    assert len(weights) == 55 + 4 * 55  # convolutions; batch norms, four tensors each


def test_what_batch_norms_counted_is_ignored_and_not_missed(tmp_path: Path) -> None:
    state = {
        name: tensor for name, tensor in tiny().state_dict().items() if "num_batches" not in name
    }
    # The published encoder was saved from a synchronised batch norm with tensors of its own
    extra = {"bn1._tmp_running_mean": torch.zeros(2), "bn1._tmp_running_var": torch.zeros(2)}
    torch.save(state | extra, tmp_path / "encoder.pth")
    net = DilatedResNet50(width=2)
    load_into(net, tmp_path / "encoder.pth")
    for wanted, found in zip(tiny()(picture()), net(picture()), strict=True):
        torch.testing.assert_close(found, wanted)


def test_the_published_file_is_found_in_the_authors_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ade20k-resnet50dilated-ppm_deepsup" / "encoder_epoch_20.pth"
    path.parent.mkdir()
    torch.save(tiny().state_dict(), path)
    monkeypatch.setattr(resnet, "DilatedResNet50", partial(DilatedResNet50, width=2))
    loaded = load_dilated_resnet50(tmp_path)
    torch.testing.assert_close(loaded.conv2.weight, tiny().conv2.weight, rtol=0, atol=0)


def test_batch_norms_rest_whatever_their_owner_does() -> None:
    net = tiny()
    owner = nn.ModuleList([net]).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net(picture())
    assert not any(part.training for part in owner[0].modules())
    assert not any(parameter.requires_grad for parameter in net.parameters())
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
