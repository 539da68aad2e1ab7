"""The inner operations by oneDNN's fused forms, which torch provides under private names.

What follows a convolution or product (adding to a map, GELU, the gate) is computed while the values
are still in registers.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from diffir.model.cpen import LEAK

from .kernels import Convolution, Gate, Kernels, Product, as_image, as_rows

Packed = Callable[[Tensor], Tensor]
"""From the input to the weight in the layout that oneDNN needs for an input of that size."""


class OneDNN(Kernels):
    """oneDNN's operations; see `Kernels` for shapes."""

    def product(self, weight: Tensor, bias: Tensor | None = None) -> Product:
        """`out = x Wᵀ + b`; the copy is cheaper than adding to zeros, and nothing is packed."""
        weight = self.cast(weight).contiguous()
        shift = None if bias is None else self.cast(bias).contiguous()  # assumed contiguous

        def run(x: Tensor, out: Tensor) -> None:
            out.copy_(torch.ops.mkldnn._linear_pointwise(x, weight, shift, "none", [], ""))

        return run

    def adder(self, weight: Tensor) -> Product:
        """`out += x Wᵀ`."""
        packed = packing(self.cast(weight)[:, :, None, None], [0, 0])

        def run(x: Tensor, out: Tensor) -> None:
            if x.dtype == out.dtype and out.is_contiguous():
                add(as_image(out), as_image(x), packed)
            else:
                out.add_(as_rows(convolve(as_image(x), packed, [0, 0])))

        return run

    def depthwise(self, weight: Tensor) -> Convolution:
        """Depthwise convolution."""
        groups = len(weight)
        packed = packing(self.cast(weight), [0, 1], groups)

        def run(window: Tensor) -> Tensor:
            return as_rows(convolve(as_image(window), packed, [0, 1], groups))

        return run

    def gate(self, weight: Tensor, value_weight: Tensor) -> Gate:
        """`GELU(depthwise(x1)) ⊙ depthwise(x2)`, in two passes over memory."""
        groups = len(weight)
        first = packing(self.cast(weight), [0, 1], groups)
        second = packing(self.cast(value_weight), [0, 1], groups)

        def run(window: Tensor, value_window: Tensor) -> Tensor:
            gates = convolve(as_image(window), first, [0, 1], groups, "gelu")
            return as_rows(multiply(as_image(value_window), gates, second, groups))

        return run

    def convolution(
        self, weight: Tensor, bias: Tensor | None = None, leaky: bool = False
    ) -> Convolution:
        """Full convolution, optionally followed by a leaky ReLU."""
        packed = packing(self.cast(weight), [0, 1])
        shift = None if bias is None else self.cast(bias)
        follower = "leaky_relu" if leaky else "none"

        def run(window: Tensor) -> Tensor:
            return as_rows(convolve(as_image(window), packed, [0, 1], 1, follower, shift))

        return run


def packing(weight: Tensor, padding: list[int], groups: int = 1) -> Packed:
    """Pack a weight (O, C / groups, k, k) whenever the size of the input changes.

    Layouts differ between sizes, and a wrong one is reordered in every call, which may cost more
    than the call itself. Only the latest is kept: sizes change twice in a sweep.
    """
    weight = weight.contiguous()
    kept: dict[torch.Size, Tensor] = {}

    def packed(x: Tensor) -> Tensor:
        if x.shape not in kept:
            kept.clear()
            kept[x.shape] = torch.ops.mkldnn._reorder_convolution_weight(
                weight, padding, [1, 1], [1, 1], groups, list(x.shape)
            )
        return kept[x.shape]

    return packed


def convolve(
    x: Tensor,
    packed: Packed,
    padding: list[int],
    groups: int = 1,
    follower: str = "none",
    bias: Tensor | None = None,
) -> Tensor:
    """A convolution with the operation that follows it."""
    scalars = [LEAK] if follower == "leaky_relu" else []
    return torch.ops.mkldnn._convolution_pointwise(
        x, packed(x), bias, padding, [1, 1], [1, 1], groups, follower, scalars, "none"
    )


def multiply(x: Tensor, other: Tensor, packed: Packed, groups: int) -> Tensor:
    """A depthwise convolution multiplied by another map."""
    weight = packed(x)
    return torch.ops.mkldnn._convolution_pointwise.binary(
        x, other, weight, None, [0, 1], [1, 1], [1, 1], groups, "mul", None, None, [], None
    )


def add(out: Tensor, x: Tensor, packed: Packed) -> None:
    """Add a 1×1 convolution to a map."""
    torch.ops.mkldnn._convolution_pointwise_.binary(
        out, x, packed(x), None, [0, 0], [1, 1], [1, 1], 1, "add", 1.0, None, [], None
    )
