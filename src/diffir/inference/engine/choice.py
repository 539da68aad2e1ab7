"""Select the kernels: those specific to the device, if a trial shows them correct and fast."""

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
"""How much slower than plain torch oneDNN may be. Not 1, so that the choice is the same in every
run, whatever the load of the machine; otherwise the same seed would not give the same bits."""
CLOSE = {torch.float32: 1e-4}
"""Tolerance against plain torch; 0.1 in coarser dtypes."""


@cache
def kernels_for(dtype: torch.dtype, device: torch.device) -> Kernels:
    """The kernels for a dtype and a device; the trial takes some milliseconds, once per process.

    On a GPU it takes some seconds until Triton has cached its programs.
    """
    plain = Kernels(dtype)
    if device.type == "cuda":
        return tried(triton_kernels, plain, device)
    if device.type != "cpu" or not torch._C._has_mkldnn:
        return plain
    kernels = tried(OneDNN, plain, device)
    return kernels if kernels is plain or seconds(kernels) < SLOWER * seconds(plain) else plain


def triton_kernels(dtype: torch.dtype) -> Kernels:
    """Create `TritonKernels`; raises ImportError without Triton."""
    from .triton_kernels import TritonKernels

    return TritonKernels(dtype)


def tried(make: Callable[[torch.dtype], Kernels], plain: Kernels, device: torch.device) -> Kernels:
    """Kernels that agree with plain torch, or else plain torch."""
    try:
        kernels = make(plain.dtype)
        far = CLOSE.get(plain.dtype, 0.1)
        is_right = all(
            (ours - theirs).abs().max().item() < far  # False for NaN, which `max` would ignore
            for ours, theirs in zip(trial(kernels, device), trial(plain, device), strict=True)
        )
    except Exception as error:  # a library that is missing or incompatible, a compiler, a driver
        logger.info("plain torch is used on %s: %s", device, error)
        return plain
    return kernels if is_right else plain


def trial(kernels: Kernels, device: torch.device) -> list[Tensor]:
    """One result of every kernel, on small deterministic inputs."""
    cpu = torch.device("cpu")
    generator = torch.Generator(cpu).manual_seed(0)

    def numbers(*shape: int) -> Tensor:
        drawn = torch.randn(*shape, generator=generator, dtype=torch.float32, device=cpu)
        return (drawn / 4).to(device)

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
    """Results of the fused steps of a block, on x (3, 7, 48) and a window (5, 7, 48)."""

    def memory(name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return torch.empty(shape, dtype=dtype or kernels.dtype, device=x.device)

    with x.device:
        norm = LayerNorm2d(48, bias=True).float()
    halves = [(weight, each[:, 0, 0, 0]), (weight.t(), each[:, 0, 1, 1])]
    outs = [memory("", *x.shape) for _ in halves]
    kernels.normed_products(norm, halves, memory)(x, outs)
    correlations = Correlations(24, 2, x.device)
    kernels.correlator(each)(window, [(0, 1), (1, 3)], correlations)
    kernels.mixer(each, weight)(window, x)
    return [*outs, correlations.sums, x]


def seconds(kernels: Kernels) -> float:
    """The shortest time of a stripe's typical work on the CPU."""
    x = torch.ones(4, 128, 96, dtype=kernels.dtype, device="cpu")
    out = x.new_zeros(4, 128, 384)
    product = kernels.product(x.new_ones(384, 96))
    depthwise = kernels.depthwise(x.new_ones(384, 1, 3, 3))
    times = []
    for _ in range(5):
        began = time.perf_counter()
        product(x, out)
        depthwise(out)
        times.append(time.perf_counter() - began)
    return min(times)
