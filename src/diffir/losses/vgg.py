"""VGG up to its last convolution: VGG-19 for the perceptual loss, VGG-16 for learned metrics."""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from .features import Frozen
from .weights import PublicWeights, find_weights, load_into

VGG19_WEIGHTS = PublicWeights(
    "vgg19-dcbb9e9d.pth", "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
)
"""torchvision's, trained on ImageNet."""

VGG16_WEIGHTS = PublicWeights(
    "vgg16-397923af.pth", "https://download.pytorch.org/models/vgg16-397923af.pth"
)
"""torchvision's, trained on ImageNet."""

VGG19_CONVS = (2, 2, 4, 4, 4)
"""Convolutions in each of the five blocks."""
VGG16_CONVS = (2, 2, 3, 3, 3)

MakePool = Callable[[], nn.Module]
"""Makes a layer that halves the resolution and has no tensors."""
MAX_POOL: MakePool = partial(nn.MaxPool2d, 2)


def vgg_places(convs: tuple[int, ...]) -> dict[str, int]:
    """The indices of the convolutions in torchvision's `features`, by their names in the paper."""
    places, place = {}, 0
    for block, count in enumerate(convs, start=1):
        for conv in range(1, count + 1):
            places[f"conv{block}_{conv}"] = place
            place += 2  # a ReLU follows
        place += 1  # pooling
    return places


def vgg19_places() -> dict[str, int]:
    """The indices of VGG-19's convolutions."""
    return vgg_places(VGG19_CONVS)


class VGG(Frozen):
    """VGG (Simonyan & Zisserman 2015), returning the outputs of chosen convolutions."""

    def __init__(self, convs: tuple[int, ...], width: int, pool: MakePool = MAX_POOL) -> None:
        super().__init__()
        places = vgg_places(convs)
        self.dims: dict[str, int] = {}
        layers: list[nn.Module] = []
        dim = 3
        for name, place in places.items():
            wider = min(width * 2 ** (int(name[4]) - 1), 8 * width)
            if place > len(layers):
                layers.append(pool())
            layers += [nn.Conv2d(dim, wider, 3, padding=1), nn.ReLU()]
            dim = self.dims[name] = wider
        self.features = nn.Sequential(*layers[:-1])
        self.names = {place: name for name, place in places.items()}
        self.freeze()

    def forward(self, x: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """Outputs of convolutions (`conv1_2` …) before their ReLU, in block b of H / 2^(b−1)."""
        x, taps = self.normalized(x), {}
        for place, layer in enumerate(self.features):
            x = layer(x)
            if self.names.get(place) in wanted:
                taps[self.names[place]] = x
            if len(taps) == len(wanted):
                break
        return taps


class VGG19(VGG):
    """VGG-19 up to conv5_4."""

    def __init__(self, width: int = 64) -> None:
        super().__init__(VGG19_CONVS, width)


class VGG16(VGG):
    """VGG-16 up to conv5_3; a metric may use its own pooling."""

    def __init__(self, width: int = 64, pool: MakePool = MAX_POOL) -> None:
        super().__init__(VGG16_CONVS, width, pool)


def load_vgg19(weights_dir: Path | None = None) -> VGG19:
    """VGG-19 with torchvision's weights, found on this machine.

    Raises:
        WeightsError: as `find_weights` and `load_into`.
    """
    vgg = VGG19()
    load_into(vgg, find_weights(VGG19_WEIGHTS, weights_dir), ignored=("classifier.",))
    return vgg


def load_vgg16(weights_dir: Path | None = None, pool: MakePool = MAX_POOL) -> VGG16:
    """VGG-16 with torchvision's weights, found on this machine; raises as `load_vgg19`."""
    vgg = VGG16(pool=pool)
    load_into(vgg, find_weights(VGG16_WEIGHTS, weights_dir), ignored=("classifier.",))
    return vgg
