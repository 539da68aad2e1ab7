"""Which kernels: oneDNN's private ones where a trial finds them there, right and not slow."""

import time
from functools import cache

import torch
from torch import Tensor

from .kernels import Kernels
from .onednn import OneDNN

SLOWER = 1.5
"""How much slower oneDNN must be to be left out. Not 1, for the choice must be the same in every
run, whatever else the machine does, or the same seed would not give the same bits."""


@cache
def kernels_for(dtype: torch.dtype, device: torch.device) -> Kernels:
    """The kernels for a dtype and a device; the trial takes some milliseconds, once a process."""
    plain = Kernels(dtype)
    if device.type != "cpu" or not torch._C._has_mkldnn:
        return plain
    onednn = OneDNN(dtype)
    try:
        wrong = max(
            (ours - theirs).abs().max().item()
            for ours, theirs in zip(trial(onednn), trial(plain), strict=True)
        )
    except (AttributeError, RuntimeError, TypeError):  # another torch, another private name
        return plain
    good = wrong < (1e-4 if dtype == torch.float32 else 0.1)
    return onednn if good and seconds(onednn) < SLOWER * seconds(plain) else plain


def trial(kernels: Kernels) -> list[Tensor]:
    """One result of every kernel, on small numbers that are the same every time."""
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) / 4

    x, window = numbers(3, 5, 48).to(kernels.dtype), numbers(5, 7, 48).to(kernels.dtype)
    out, total = x.new_zeros(3, 5, 96), numbers(3, 5, 96)
    kernels.product(numbers(96, 48), numbers(96))(x, out)
    kernels.adder(numbers(96, 48))(x, total)
    each = numbers(48, 1, 3, 3)
    results = [
        out,
        total,
        kernels.depthwise(each)(window),
        kernels.gate(each, each)(window, window),
        kernels.convolution(numbers(32, 48, 3, 3), numbers(32), leaky=True)(window),
    ]
    return [result.float() for result in results]


def seconds(kernels: Kernels) -> float:
    """The shortest time of a stripe's typical work."""
    x = torch.ones(4, 128, 96, dtype=kernels.dtype)
    out = x.new_zeros(4, 128, 384)
    product = kernels.product(torch.ones(384, 96))
    depthwise = kernels.depthwise(torch.ones(384, 1, 3, 3))
    times = []
    for _ in range(5):
        began = time.perf_counter()
        product(x, out)
        depthwise(out)
        times.append(time.perf_counter() - began)
    return min(times)
