"""CPEN, the compact IR prior extraction network: from pictures to the 4C' numbers of Z."""

from torch import Tensor, nn

LEAK = 0.1  # negative slope of every LeakyReLU here and in the denoiser


class ResidualBlock(nn.Module):
    """Two convolutions and the way around them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(dim, dim, 3, padding=1), nn.LeakyReLU(LEAK), nn.Conv2d(dim, dim, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class CPEN(nn.Module):
    """Extracts the IPR: convolutions, a mean over all positions, two linear layers."""

    def __init__(self, in_channels: int, ipr_dim: int, num_blocks: int) -> None:
        super().__init__()
        dim = ipr_dim // 4
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
        self.mlp = nn.Sequential(
            nn.Linear(ipr_dim, ipr_dim),
            nn.LeakyReLU(LEAK),
            nn.Linear(ipr_dim, ipr_dim),
            nn.LeakyReLU(LEAK),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Read the IPR, (B, 4C'), off pixel-unshuffled pictures, (B, in_channels, H, W)."""
        x = self.expand(self.blocks(self.embed(x)))  # (B, 4C', H, W)
        return self.mlp(x.mean(dim=(2, 3)))
