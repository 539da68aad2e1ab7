"""The inner operations in plain torch, on any device: products and 3×3 convolutions of rows.

A map is (H, W, C), contiguous; P pixels, C channels, O outputs. Weights are prepared once per
picture and returned as functions, because each library needs its own layout.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from diffir.model.blocks import LayerNorm2d
from diffir.model.cpen import LEAK

from .correlations import Correlations

Product: TypeAlias = Callable[[Tensor, Tensor], None]
"""From (R, W, C) into (R, W, O), both contiguous."""
Convolution: TypeAlias = Callable[[Tensor], Tensor]
"""From a window (R + 2, W, C) to its inner rows (R, W, O), with zeros at the sides."""
Gate: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From two windows (R + 2, W, C) to rows (R, W, C)."""
NormedProducts: TypeAlias = Callable[[Tensor, Sequence[Tensor]], None]
"""From x (R, W, C) with strided rows into contiguous (R, W, O), one for every product."""
Correlator: TypeAlias = Callable[[Tensor, Sequence[tuple[int, int]], Correlations], None]
"""From a window (R + 2, W, 2C), with its inner rows split into blocks, into the sums."""


class Memory(Protocol):
    """Scratch memory by name, as `Tools.memory` gives it."""

    def __call__(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Of any content."""


def as_image(rows: Tensor) -> Tensor:
    """(R, W, C) as (1, C, R, W), channels last, without a copy."""
    return rows.permute(2, 0, 1)[None]


def as_rows(image: Tensor) -> Tensor:
    """(1, C, R, W) as (R, W, C)."""
    return image[0].permute(1, 2, 0)


def convolve(image: Tensor, kernel: Tensor, bias: Tensor | None, groups: int = 1) -> Tensor:
    """A 3×3 convolution with zero padding only at the left and right.

    On CPUs not by `F.conv2d`, which uses another algorithm for small inputs, so that the bits of
    the result would depend on the height of the stripes. On NVIDIA's GPUs it would round to TF32.
    """
    if image.is_cpu and image.dtype == torch.float32 and torch._C._has_mkldnn:
        return torch.mkldnn_convolution(image, kernel, bias, (0, 1), (1, 1), (1, 1), groups)
    if image.is_cuda:
        return exact_convolution(image, kernel, bias, groups)
    return F.conv2d(image, kernel, bias, padding=(0, 1), groups=groups)


def exact_convolution(image: Tensor, kernel: Tensor, bias: Tensor | None, groups: int) -> Tensor:
    """As `convolve`, deterministic: no benchmarking of algorithms, no TF32."""
    benchmark, deterministic, cudnn, tf32 = False, True, True, False
    shape = (1, 1), (0, 1), (1, 1), False, (0, 0)  # stride, padding, dilation, transposed, more
    return torch._convolution(
        image, kernel, bias, *shape, groups, benchmark, deterministic, cudnn, tf32
    )


def normalised(x: Tensor, norm: LayerNorm2d, dtype: torch.dtype, memory: Memory) -> Tensor:
    """Rows (R, W, C) normalised over C, without the affine part, in the given dtype."""
    mean = x.mean(dim=-1, keepdim=True)
    y = torch.sub(x, mean, out=memory("centred", *x.shape, dtype=x.dtype))
    spread = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
    inverse = spread.square_().div_(x.shape[-1]).add_(norm.eps).rsqrt_()
    source = x if norm.bias is None else y  # the bias-free form keeps the mean
    out = y if x.dtype == dtype else memory("normalised", *x.shape, dtype=dtype)
    return torch.mul(source, inverse, out=out)


def few_outputs(weight: Tensor, bias: Tensor | None) -> Convolution:
    """A convolution to RGB as one product with its 9 taps, whose results are shifted and added.

    2.5 times as fast as a convolution optimised for many outputs.
    """
    taps = rearrange(weight, "o c y x -> (y x o) c").contiguous()
    shift = weight.new_zeros(len(weight)) if bias is None else bias

    def run(window: Tensor) -> Tensor:
        height, width, _ = window.shape
        products = torch.mm(taps, window.flatten(0, 1).t()).view(3, 3, -1, height, width)
        out = shift[:, None, None].repeat(1, height - 2, width)
        for y, x in itertools.product(range(3), range(3)):
            low, high = max(1 - x, 0), min(width + 1 - x, width)
            tap = products[y, x, :, y : y + height - 2, low + x - 1 : high + x - 1]
            out[:, :, low:high] += tap
        return out.permute(1, 2, 0)

    return run


class Kernels:
    """torch's own operations, in one dtype; sums are in float32 wherever torch does so."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype

    def cast(self, weight: Tensor) -> Tensor:
        """A weight in the dtype of the products."""
        return weight.detach().to(self.dtype)

    def product(self, weight: Tensor, bias: Tensor | None = None) -> Product:
        """`out = x Wᵀ + b`, weight (O, C)."""
        transposed = self.cast(weight).t()
        shift = self.cast(weight.new_zeros(len(weight)) if bias is None else bias)

        def run(x: Tensor, out: Tensor) -> None:
            torch.addmm(shift, x.flatten(0, 1), transposed, out=out.flatten(0, 1))

        return run

    def normed_products(
        self,
        norm: LayerNorm2d,
        parts: Sequence[tuple[Tensor, Tensor]],
        memory: Memory,
    ) -> NormedProducts:
        """`out = x̂ Wᵀ + b` for every weight (O, C) and bias (O); x̂ is normalised over C."""
        products = [self.product(weight, bias) for weight, bias in parts]

        def run(x: Tensor, outs: Sequence[Tensor]) -> None:
            y = normalised(x, norm, self.dtype, memory)
            for product, out in zip(products, outs, strict=True):
                product(y, out)

        return run

    def correlator(self, weight: Tensor) -> Correlator:
        """Correlations of Q and K, which are depthwise convolutions, weight (2C, 1, 3, 3)."""
        depthwise = self.depthwise(weight)

        def run(
            window: Tensor, pieces: Sequence[tuple[int, int]], correlations: Correlations
        ) -> None:
            qk, start = depthwise(window), pieces[0][0]
            for low, high in pieces:
                correlations.add(qk[low - start : high - start].flatten(0, 1))

        return run

    def mixer(self, weight: Tensor, matrix: Tensor) -> Product:
        """`out += depthwise(window) Mᵀ`, weight (C, 1, 3, 3), matrix (O, C); out as in `adder`."""
        depthwise, add = self.depthwise(weight), self.adder(matrix)

        def run(window: Tensor, out: Tensor) -> None:
            add(depthwise(window), out)

        return run

    def adder(self, weight: Tensor) -> Product:
        """`out += x Wᵀ`, weight (O, C); out may have a finer dtype and strided rows."""
        transposed = self.cast(weight).t()

        def run(x: Tensor, out: Tensor) -> None:
            if x.dtype == out.dtype and out.is_contiguous():
                out.flatten(0, 1).addmm_(x.flatten(0, 1), transposed)
            else:
                out.add_(x @ transposed)

        return run

    def depthwise(self, weight: Tensor) -> Convolution:
        """Depthwise convolution, weight (C, 1, 3, 3)."""
        kernel = self.cast(weight)

        def run(window: Tensor) -> Tensor:
            image = as_image(window)
            return as_rows(convolve(image, kernel, None, len(kernel)))

        return run

    def gate(self, weight: Tensor, value_weight: Tensor) -> Gate:
        """`GELU(depthwise(x1)) ⊙ depthwise(x2)`, weights (C, 1, 3, 3)."""
        first, second = self.depthwise(weight), self.depthwise(value_weight)

        def run(window: Tensor, value_window: Tensor) -> Tensor:
            return F.gelu(first(window)).mul_(second(value_window))

        return run

    def convolution(
        self, weight: Tensor, bias: Tensor | None = None, leaky: bool = False
    ) -> Convolution:
        """Full convolution, weight (O, C, 3, 3), optionally followed by a leaky ReLU."""
        kernel = self.cast(weight).contiguous(memory_format=torch.channels_last)
        shift = None if bias is None else self.cast(bias)

        def run(window: Tensor) -> Tensor:
            y = as_rows(convolve(as_image(window), kernel, shift))
            return F.leaky_relu_(y, LEAK) if leaky else y

        return run
