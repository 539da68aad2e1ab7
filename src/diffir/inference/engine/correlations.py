"""Correlations of channels over all pixels of a map, for h heads of c = C / h channels."""

import torch
from einops import rearrange
from torch import Tensor


class Correlations:
    """Q Kᵀ of every head and the squared norms, summed in float32 block by block."""

    def __init__(self, dim: int, heads: int, device: torch.device) -> None:
        self.heads = heads
        size = dim * dim // heads
        self.sums = torch.zeros(size + 2 * dim, dtype=torch.float32, device=device)
        self.products = self.sums[:size].view(heads, dim // heads, dim // heads)
        self.squares = self.sums[size:]

    def add(self, qk: Tensor) -> None:
        """Add the pixels of one block, (P, 2C)."""
        qk = qk.float()
        self.squares += (qk * qk).sum(dim=0)
        q, k = rearrange(qk, "p (n h c) -> n h p c", n=2, h=self.heads)
        torch.baddbmm(self.products, q.transpose(1, 2), k, out=self.products)

    def attention(self, temperature: Tensor) -> Tensor:
        """(h, c, c), as in `DMTA`."""
        norms = self.squares.sqrt().clamp_(min=1e-12)  # as in F.normalize
        q, k = rearrange(norms, "(n h c) -> n h c", n=2, h=self.heads)
        cosines = self.products / (q[:, :, None] * k[:, None, :])
        return (cosines * temperature).softmax(dim=-1)
