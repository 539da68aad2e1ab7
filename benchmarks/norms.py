"""Whether training profits from the engine's algebra: norms of Q and K on their small product.

    python benchmarks/norms.py

`DMTA` divides Q and K, maps as large as the picture, by their norms; the engine divides the (c, c)
product instead. One dynamic transformer block, forward and backward, batch 4 of 64×64, channels
last, CPU time of interleaved rounds, one thread.
"""

import statistics
import time

import torch
from einops import rearrange
from torch import Tensor

from diffir.model.blocks import DMTA, DynamicTransformerBlock

ROUNDS = 10


def small_norms(self: DMTA, x: Tensor) -> Tensor:
    """`DMTA.forward`, with the norms applied to the product."""
    height = x.shape[2]
    qkv = self.depthwise(self.qkv(x))
    q, k, v = rearrange(qkv, "b (n h c) y x -> n b h c (y x)", n=3, h=self.num_heads)
    norms = (torch.linalg.vector_norm(each, dim=-1, dtype=torch.float32) for each in (q, k))
    of_q, of_k = (norm.clamp(min=1e-12) for norm in norms)
    cosines = (q @ k.transpose(-2, -1)).float() / (of_q[..., :, None] * of_k[..., None, :])
    attention = (cosines * self.temperature).softmax(dim=-1).to(v.dtype)
    return self.project_out(rearrange(attention @ v, "b h c (y x) -> b (h c) y x", y=height))


def seconds(block: DynamicTransformerBlock, x: Tensor, ipr: Tensor, half: bool) -> float:
    """CPU time of a forward and a backward."""
    began = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        out = block(x, ipr)
    out.float().square().mean().backward()
    return time.process_time() - began


def main() -> None:
    torch.set_num_threads(1)
    forwards = (DMTA.forward, small_norms)
    print("| dim | precision | as DMTA | norms on the product | times |\n" + "| --- " * 5 + "|")
    for dim in (24, 48):
        for half in (False, True):
            torch.manual_seed(0)
            block = DynamicTransformerBlock(dim, 1, 2.0, True, 256)
            block.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            x = torch.randn(4, dim, 64, 64).contiguous(memory_format=torch.channels_last)
            x.requires_grad_()
            ipr, times = torch.randn(4, 256), ([], [])
            for round_ in range(ROUNDS + 2):  # two to warm up
                for forward, spent in zip(forwards, times, strict=True):
                    DMTA.forward = forward  # type: ignore[method-assign]
                    taken = seconds(block, x, ipr, half)
                    if round_ > 1:
                        spent.append(taken)
            ratio = statistics.median(a / b for a, b in zip(*times, strict=True))
            cells = [f"{1e3 * statistics.median(spent):.0f} ms" for spent in times]
            name = "bfloat16" if half else "float32"
            print(f"| {dim} | {name} | {' | '.join(cells)} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
