"""The dynamic transformer block: two halves, each normalised and modulated by the IPR.

B batch, C channels, H × W positions, h heads, Z the IPR of length 4C' (figure 2 of the paper).
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class LayerNorm2d(nn.Module):
    """LayerNorm over the channels of (B, C, H, W); without bias, the mean is not subtracted."""

    def __init__(self, dim: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim)) if bias else None
        self.eps = 1e-5

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        if self.bias is not None:
            x = F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
        else:
            variance = x.var(dim=-1, keepdim=True, correction=0)
            x = x * torch.rsqrt(variance + self.eps) * self.weight
        return x.permute(0, 3, 1, 2)


def modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Scale and shift every channel: (B, C, H, W) with (B, C) each."""
    return x * scale[:, :, None, None] + shift[:, :, None, None]


class IPRModulation(nn.Module):
    """`F' = (W1 Z) ⊙ F + W2 Z`: the IPR chooses a scale and a shift for every channel.

    With `identity`, `F' = (1 + W1 Z) ⊙ F + W2 Z`: a Z of 0 changes nothing.
    """

    def __init__(self, dim: int, ipr_dim: int, identity: bool = False) -> None:
        super().__init__()
        self.identity = identity
        self.linear = nn.Linear(ipr_dim, 2 * dim, bias=False)

    def scale_and_shift(self, ipr: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift of the channels, (B, C) each, from an IPR (B, 4C'); the 1 is included."""
        scale, shift = self.linear(ipr).chunk(2, dim=1)
        return (1 + scale if self.identity else scale), shift

    def forward(self, x: Tensor, ipr: Tensor) -> Tensor:
        return modulate(x, *self.scale_and_shift(ipr))


class DMTA(nn.Module):
    """Dynamic multi-head transposed attention: channels attend to channels, at linear cost."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.temperature = nn.Parameter(torch.ones(num_heads, 1, 1))
        self.qkv = nn.Conv2d(dim, 3 * dim, 1, bias=False)
        self.depthwise = nn.Conv2d(3 * dim, 3 * dim, 3, padding=1, groups=3 * dim, bias=False)
        self.project_out = nn.Conv2d(dim, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        height = x.shape[2]
        qkv = self.depthwise(self.qkv(x))
        q, k, v = rearrange(qkv, "b (n h c) y x -> n b h c (y x)", n=3, h=self.num_heads)
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        attention = (q @ k.transpose(-2, -1) * self.temperature).softmax(dim=-1)  # (B, h, c, c)
        return self.project_out(rearrange(attention @ v, "b h c (y x) -> b (h c) y x", y=height))


class DGFN(nn.Module):
    """Dynamic gated feed-forward network: `Wo (GELU(x1) ⊙ x2)`."""

    def __init__(self, dim: int, expansion: float) -> None:
        super().__init__()
        hidden = int(dim * expansion)
        self.project_in = nn.Conv2d(dim, 2 * hidden, 1, bias=False)
        self.depthwise = nn.Conv2d(
            2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False
        )
        self.project_out = nn.Conv2d(hidden, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.depthwise(self.project_in(x)).chunk(2, dim=1)
        return self.project_out(F.gelu(gate) * value)


class DynamicTransformerBlock(nn.Module):
    """Attention, then feed-forward, each behind a norm that the IPR modulates."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        ffn_expansion: float,
        norm_bias: bool,
        ipr_dim: int,
        identity_modulation: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = LayerNorm2d(dim, norm_bias)
        self.modulation1 = IPRModulation(dim, ipr_dim, identity_modulation)
        self.attention = DMTA(dim, num_heads)
        self.norm2 = LayerNorm2d(dim, norm_bias)
        self.modulation2 = IPRModulation(dim, ipr_dim, identity_modulation)
        self.ffn = DGFN(dim, ffn_expansion)

    def forward(self, x: Tensor, ipr: Tensor) -> Tensor:
        x = x + self.attention(self.modulation1(self.norm1(x), ipr))
        return x + self.ffn(self.modulation2(self.norm2(x), ipr))
