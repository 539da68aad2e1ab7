"""AlexNet up to its last convolution, whose features LPIPS compares."""

from pathlib import Path

from torch import Tensor, nn

from diffir.losses import PublicWeights, find_weights, load_into
from diffir.losses.features import Frozen

ALEXNET_WEIGHTS = PublicWeights(
    "alexnet-owt-7be5be79.pth", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
)
"""torchvision's, trained on ImageNet."""

DIMS = (1, 3, 6, 4, 4)
"""Channels of the five convolutions, in widths."""


class AlexNet(Frozen):
    """AlexNet with one tower (Krizhevsky 2014), which returns the outputs of its ReLUs."""

    least = 31
    """The smallest side for which the last feature is not empty."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.dims = [dim * width for dim in DIMS]
        first, second, *rest = self.dims
        layers: list[nn.Module] = [
            nn.Conv2d(3, first, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(first, second, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        ]
        for dim, wider in zip([second, *rest], rest, strict=False):
            layers += [nn.Conv2d(dim, wider, 3, padding=1), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.freeze()

    def forward(self, x: Tensor) -> list[Tensor]:
        """Five features, at about 1/4, 1/8, 1/16, 1/16 and 1/16 of H × W."""
        x, taps = self.normalized(x), []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                taps.append(x)
        return taps


def load_alexnet(weights_dir: Path | None = None) -> AlexNet:
    """AlexNet with torchvision's weights from this machine.

    Raises:
        WeightsError: as `find_weights` and `load_into`.
    """
    alexnet = AlexNet()
    load_into(alexnet, find_weights(ALEXNET_WEIGHTS, weights_dir), ignored=("classifier.",))
    return alexnet
