"""What networks have in common whose features judge a picture.

They take (B, 3, H, W) in [0, 1], rest (frozen, always in eval mode) and name their tensors as
torchvision does, which they do without.
"""

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Frozen(nn.Module):
    """A network that rests, whatever the network around it does."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}.items():
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def rest(self) -> None:
        """Stop learning, once all layers are there."""
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Frozen":
        """Stay in eval mode: batch norms use what they know."""
        return super().train(False)

    def normalized(self, x: Tensor) -> Tensor:
        """Values in [0, 1] to ImageNet's mean 0 and deviation 1."""
        return (x - self.mean) / self.std
