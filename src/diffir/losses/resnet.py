"""The dilated ResNet-50 whose features the high-receptive-field perceptual loss compares."""

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from .features import Frozen
from .weights import PublicWeights, find_weights, load_into

# The authors' folder is part of the name: all their encoders are called encoder_epoch_20
ADE20K_WEIGHTS = PublicWeights(
    "ade20k-resnet50dilated-ppm_deepsup/encoder_epoch_20.pth",
    "http://sceneparsing.csail.mit.edu/model/pytorch/"
    "ade20k-resnet50dilated-ppm_deepsup/encoder_epoch_20.pth",
)
"""The encoder of MIT CSAIL's semantic segmentation, trained on ADE20K, as in LaMa. No hash is
published."""


class Bottleneck(nn.Module):
    """1 × 1, 3 × 3, 1 × 1 convolutions with a skip connection (He et al. 2016)."""

    def __init__(self, dim: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        out = 4 * width
        self.conv1 = nn.Conv2d(dim, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = (
            nn.Sequential(nn.Conv2d(dim, out, 1, stride, bias=False), nn.BatchNorm2d(out))
            if dim != out
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 4 × width, H / stride, W / stride)."""
        skip = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + skip)


def stage(dim: int, width: int, blocks: int, stride: int, dilations: tuple[int, int]) -> nn.Module:
    """A sequence of bottlenecks; only the first has the stride, and its own dilation."""
    first = Bottleneck(dim, width, stride, dilations[0])
    rest = [Bottleneck(4 * width, width, 1, dilations[1]) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


class DilatedResNet50(Frozen):
    """ResNet-50 with dilation instead of the last two strides: 1/8 of the resolution (LaMa).

    The stem is the deep one of CSAIL's encoder: three 3 × 3 convolutions.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 2 * width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(2 * width)
        # Where dilation replaces a stride, the first block keeps the previous dilation (CSAIL)
        self.layer1 = stage(2 * width, width, 3, 1, (1, 1))
        self.layer2 = stage(4 * width, 2 * width, 4, 2, (1, 1))
        self.layer3 = stage(8 * width, 4 * width, 6, 1, (1, 2))
        self.layer4 = stage(16 * width, 8 * width, 3, 1, (2, 4))
        self.freeze()

    def forward(self, x: Tensor) -> list[Tensor]:
        """The four stages: 4, 8, 16, 32 × width channels at 1/4, 1/8, 1/8, 1/8 of H × W."""
        x = self.normalized(x)
        x = F.relu(self.bn1(self.conv1(x)))  # (B, width, H/2, W/2)
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.relu(self.bn3(self.conv3(x)))  # (B, 2 × width, H/2, W/2)
        x = F.max_pool2d(x, 3, stride=2, padding=1)  # (B, 2 × width, H/4, W/4)
        stages = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            stages.append(x)
        return stages


def load_dilated_resnet50(weights_dir: Path | None = None) -> DilatedResNet50:
    """The ResNet-50 with CSAIL's weights, found on this machine.

    Raises:
        WeightsError: as `find_weights` and `load_into`.
    """
    resnet = DilatedResNet50()
    load_into(resnet, find_weights(ADE20K_WEIGHTS, weights_dir))
    return resnet
