"""Which kernels: a device's own ones where a trial finds them there, right and not slow."""

import logging
import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from diffir.model.blocks import LayerNorm2d

from .correlations import Correlations
from .kernels import Kernels
from .onednn import OneDNN

logger = logging.getLogger(__name__)

SLOWER = 1.5
"""How much slower oneDNN must be to be left out. Not 1, for the choice must be the same in every
run, whatever else the machine does, or the same seed would not give the same bits."""
CLOSE = {torch.float32: 1e-4}
"""How far results may be from those of plain torch; 0.1 in coarser dtypes."""


@cache
def kernels_for(dtype: torch.dtype, device: torch.device) -> Kernels:
    """The kernels for a dtype and a device; the trial takes some milliseconds, once a process.

    On a GPU some seconds where Triton has no programs in its cache yet.
    """
    plain = Kernels(dtype)
    if device.type == "cuda":
        return tried(triton_kernels, plain, device)
    if device.type != "cpu" or not torch._C._has_mkldnn:
        return plain
    kernels = tried(OneDNN, plain, device)
    return kernels if kernels is plain or seconds(kernels) < SLOWER * seconds(plain) else plain


def triton_kernels(dtype: torch.dtype) -> Kernels:
    """Those of `TritonKernels`; raises ImportError without Triton."""
    from .triton_kernels import TritonKernels

    return TritonKernels(dtype)


def tried(make: Callable[[torch.dtype], Kernels], plain: Kernels, device: torch.device) -> Kernels:
    """Kernels that give what plain torch gives, or plain torch."""
    try:
        kernels = make(plain.dtype)
        far = CLOSE.get(plain.dtype, 0.1)
        is_right = all(
            (ours - theirs).abs().max().item() < far  # False for NaN, which `max` would pass over
            for ours, theirs in zip(trial(kernels, device), trial(plain, device), strict=True)
        )
    except Exception as error:  # a library that is missing or another, a compiler's, a driver's
        logger.info("plain torch is used on %s: %s", device, error)
        return plain
    return kernels if is_right else plain


def trial(kernels: Kernels, device: torch.device) -> list[Tensor]:
    """One result of every kernel, on small numbers that are the same every time."""
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> Tensor:
        return (torch.randn(*shape, generator=generator) / 4).to(device)

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
        *trial_of_blocks(kernels, numbers(3, 7, 48), window, each, numbers(48, 48)),
    ]
    return [result.float() for result in results]


def trial_of_blocks(
    kernels: Kernels, x: Tensor, window: Tensor, each: Tensor, weight: Tensor
) -> list[Tensor]:
    """What fuses several steps of a block, on x (3, 7, 48) and a window (5, 7, 48)."""

    def memory(name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return torch.empty(shape, dtype=dtype or kernels.dtype, device=x.device)

    norm = LayerNorm2d(48, bias=True).to(x.device)
    halves = [(weight, each[:, 0, 0, 0]), (weight.t(), each[:, 0, 1, 1])]
    outs = [memory("", *x.shape) for _ in halves]
    kernels.normed_products(norm, halves, memory)(x, outs)
    correlations = Correlations(24, 2, x.device)
    kernels.correlator(each)(window, [(0, 1), (1, 3)], correlations)
    kernels.mixer(each, weight)(window, x)
    return [*outs, correlations.sums, x]


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
