"""CPEN, the compact IR prior extraction network: from pictures to the 4C' numbers of Z."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

LEAK = 0.1  # negative slope of every LeakyReLU here and in the denoiser
EPS = 1e-8  # added to variances of feature maps and pictures
EPS_NORM = 1e-12  # added to variances of Z, which are about 1e-8 in an untrained network
LEAST_SPREAD = 1e-3  # added to a map's standard deviation before taking the logarithm
LEAST_CONTRAST = 0.02  # added to a picture's contrast before dividing by it: it may be 0
COLOURS = 3  # of LQ's channels; in inpainting the mask follows them


class ResidualBlock(nn.Module):
    """Two convolutions with a skip connection."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(dim, dim, 3, padding=1), nn.LeakyReLU(LEAK), nn.Conv2d(dim, dim, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class CPEN(nn.Module):
    """Extracts the IPR: convolutions, a mean over all positions, two linear layers."""

    def __init__(
        self,
        in_channels: int,
        ipr_dim: int,
        num_blocks: int,
        pooling: str = "mean",
        signed: bool = False,
    ) -> None:
        """Build.

        Args:
            in_channels: of the pixel-unshuffled pictures.
            ipr_dim: 4C'.
            num_blocks: residual blocks.
            pooling: `cpen_pooling` of the config.
            signed: whether to omit the last activation, for an IPR with both signs.
        """
        super().__init__()
        dim = ipr_dim // 4
        self.pooling = pooling
        self.embed = nn.Sequential(nn.Conv2d(in_channels, dim, 3, padding=1), nn.LeakyReLU(LEAK))
        self.blocks = nn.Sequential(*(ResidualBlock(dim) for _ in range(num_blocks)))
        self.expand = nn.Sequential(
            nn.Conv2d(dim, 2 * dim, 3, padding=1),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(2 * dim, 2 * dim, 3, padding=1),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(2 * dim, ipr_dim, 3, padding=1),
            nn.LeakyReLU(LEAK),
        )
        layers: list[nn.Module] = [
            nn.Linear(2 * ipr_dim if self.with_std else ipr_dim, ipr_dim),
            nn.LeakyReLU(LEAK),
            nn.Linear(ipr_dim, ipr_dim),
            nn.LeakyReLU(LEAK),
        ]
        self.mlp = nn.Sequential(*(layers[:-1] if signed else layers))

    def forward(self, x: Tensor) -> Tensor:
        """Extract the IPR, (B, 4C'), from pixel-unshuffled pictures, (B, in_channels, H, W)."""
        x = self.expand(self.blocks(self.embed(x)))  # (B, 4C', H, W)
        mean = x.mean(dim=(2, 3))
        return self.read(mean, std(x.float(), dim=(2, 3)) if self.with_std else None)

    @property
    def with_std(self) -> bool:
        """Whether the IPR also depends on the standard deviations of the last maps."""
        return self.pooling != "mean"

    def read(self, mean: Tensor, spread: Tensor | None) -> Tensor:
        """The IPR, (B, 4C'), from the means and standard deviations (B, 4C') of the last maps."""
        if spread is None:
            return self.mlp(mean)
        if self.pooling == "mean_log_std":
            spread = (spread + LEAST_SPREAD).log()
        return self.mlp(torch.cat([mean, spread.to(mean)], dim=1))


class ConstantIPR(CPEN):
    """A CPEN that ignores its input: the IPR is learned and the same for all pictures."""

    def __init__(self, ipr_dim: int) -> None:
        nn.Module.__init__(self)  # without CPEN's layers
        self.ipr = nn.Parameter(0.03 * torch.randn(ipr_dim))  # as large as an untrained CPEN's

    def forward(self, x: Tensor) -> Tensor:
        """The constant IPR, (B, 4C'), for any pictures (B, …)."""
        return self.ipr.expand(len(x), -1)


class BatchStandardization(nn.Module):
    """Batch norm without affine parameters: each element of Z gets mean 0 and variance 1.

    It is part of stage 1 only: the diffusion learns the standardised Z, and the stage-2 network
    needs no norm. In eval mode it is a fixed scale and shift by running moments, which could be
    folded into linear layers with a bias.
    """

    MOMENTUM = 0.1

    def __init__(self, ipr_dim: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor  # not the variance, which underflows in half precision
        self.register_buffer("mean", torch.zeros(ipr_dim))
        self.register_buffer("std", torch.ones(ipr_dim))
        self.whole_batch: Callable[[Tensor], Tensor] | None = None
        """Gathers Z of the whole batch from this process's share; for several processes."""

    def forward(self, ipr: Tensor) -> Tensor:
        """(B, 4C') to the same, float32."""
        ipr = ipr.float()
        if not self.training:
            return (ipr - self.mean) / self.std
        of_all = self.whole_batch(ipr) if self.whole_batch else ipr
        mean, spread = of_all.mean(dim=0), std(of_all, dim=0, eps=EPS_NORM)
        self.update_moments(mean.detach(), spread.detach(), len(of_all))
        return (ipr - mean) / spread

    @torch.no_grad()
    def update_moments(self, mean: Tensor, spread: Tensor, count: int) -> None:
        """Update the running moments, the variance without its bias, by those of `count` Z."""
        self.mean.lerp_(mean, self.MOMENTUM)
        unbiased = spread.square() * count / max(1, count - 1)
        self.std.copy_(self.std.square().lerp_(unbiased, self.MOMENTUM).sqrt())


def std(x: Tensor, dim: int | tuple[int, ...], eps: float = EPS) -> Tensor:
    """Standard deviation (biased), differentiable where it is 0."""
    return (x.var(dim=dim, correction=0) + eps).sqrt()


def standardised(pictures: Tensor, by: Tensor) -> Tensor:
    """Pictures (B, 3 or more, …) minus the mean of `by`'s colours, divided by their contrast.

    Channels after the colours stay unchanged.
    """
    colours = by[:, :COLOURS].float()
    mean, contrast = colours.mean(dim=(1, 2, 3)), std(colours, dim=(1, 2, 3))
    mean, contrast = (x[:, None, None, None].to(pictures) for x in (mean, contrast))
    own = (pictures[:, :COLOURS] - mean) / (contrast + LEAST_CONTRAST)
    return torch.cat([own, pictures[:, COLOURS:]], dim=1)
