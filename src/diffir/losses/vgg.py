"""VGG-19 up to its last convolution, whose features the perceptual loss compares."""

from collections.abc import Collection
from pathlib import Path

from torch import Tensor, nn

from .features import Frozen
from .weights import PublicWeights, find_weights, load_into

VGG19_WEIGHTS = PublicWeights(
    "vgg19-dcbb9e9d.pth", "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
)
"""torchvision's, learned on ImageNet."""

VGG19_CONVS = (2, 2, 4, 4, 4)
"""Convolutions in each of the five blocks."""


def vgg19_places() -> dict[str, int]:
    """Where the convolutions stand in torchvision's `features`, by their names in the paper."""
    places, place = {}, 0
    for block, convs in enumerate(VGG19_CONVS, start=1):
        for conv in range(1, convs + 1):
            places[f"conv{block}_{conv}"] = place
            place += 2  # a ReLU follows
        place += 1  # pooling
    return places


class VGG19(Frozen):
    """VGG-19 up to conv5_4 (Simonyan & Zisserman 2015), giving what its convolutions say."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        places = vgg19_places()
        layers: list[nn.Module] = []
        dim = 3
        for name, place in places.items():
            wider = min(width * 2 ** (int(name[4]) - 1), 8 * width)
            if place > len(layers):
                layers.append(nn.MaxPool2d(2))
            layers += [nn.Conv2d(dim, wider, 3, padding=1), nn.ReLU()]
            dim = wider
        self.features = nn.Sequential(*layers[:-1])
        self.names = {place: name for name, place in places.items()}
        self.rest()

    def forward(self, x: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """The wanted convolutions (`conv1_2` …) before their ReLU; block b is H / 2^(b−1) high."""
        x, taps = self.normalized(x), {}
        for place, layer in enumerate(self.features):
            x = layer(x)
            if self.names.get(place) in wanted:
                taps[self.names[place]] = x
            if len(taps) == len(wanted):
                break
        return taps


def load_vgg19(weights_dir: Path | None = None) -> VGG19:
    """VGG-19 with torchvision's weights from this machine.

    Raises:
        WeightsError: as `find_weights` and `load_into`.
    """
    vgg = VGG19()
    load_into(vgg, find_weights(VGG19_WEIGHTS, weights_dir), ignored=("classifier.",))
    return vgg
