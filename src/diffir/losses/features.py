"""The base of the pretrained networks whose features are compared.

They take (B, 3, H, W) in [0, 1], are frozen and always in eval mode, and name their tensors as
torchvision does, without depending on it.
"""

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Frozen(nn.Module):
    """A network that stays frozen and in eval mode, whatever its parent module does."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}.items():
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def freeze(self) -> None:
        """Freeze the parameters; called at the end of a subclass's constructor."""
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Frozen":
        """Stay in eval mode, so that batch norms use their running moments."""
        return super().train(False)

    def normalized(self, x: Tensor) -> Tensor:
        """Normalise values in [0, 1] by ImageNet's mean and standard deviation."""
        return (x - self.mean) / self.std
