"""The inner operations on a GPU, fused so that each passes over memory once; needs Triton.

A stripe of a block takes eight launches of six programs; plain torch takes some forty, and more for
every block of rows. Tested with Triton's interpreter, which runs the same programs on a
CPU, by compiling them for NVIDIA's GPUs, and on an H100, where the trial selected them. The tile
sizes are not tuned.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from math import ceil
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from diffir.model.blocks import LayerNorm2d

from . import triton_programs as programs
from .correlations import Correlations
from .kernels import Correlator, Gate, Kernels, Memory, NormedProducts, Product

PIXELS, CHANNELS, OUTPUTS = 64, 32, 128
"""Maximum sizes of a tile; products need at least 16."""
HEAD = 128
"""The most channels of a head whose correlations fit into registers."""
SUMS = 128
"""Numbers that one program of a sum's second stage adds up."""


class TritonKernels(Kernels):
    """Triton's programs for blocks; torch for the rest. See `Kernels` for shapes."""

    def normed_products(
        self, norm: LayerNorm2d, parts: Sequence[tuple[Tensor, Tensor]], memory: Memory
    ) -> NormedProducts:
        """LayerNorm and one or two products of equal size, in one program."""
        weight = self.cast(torch.cat([weight for weight, _ in parts]).t()).contiguous()
        bias = torch.cat([bias for _, bias in parts]).detach().float()
        channels, outputs = len(weight), len(bias) // len(parts)
        tile = tile_of(outputs)
        tiles = ceil(outputs / tile)

        def run(x: Tensor, outs: Sequence[Tensor]) -> None:
            first, second = outs[0], outs[-1]
            launch(
                programs.normed_product,
                [tiles_of_pixels(x) * tiles * len(parts)],
                *(x, weight, bias, first, second, *size_of(x), *steps_of(x)),
                *(channels, outputs, tiles, len(parts), norm.eps),
                CENTRED=norm.bias is not None,
                P=PIXELS,
                K=CHANNELS,
                N=tile,
            )

        return run

    def correlator(self, weight: Tensor) -> Correlator:
        """Depthwise convolution and sums per block in one program, the total in another."""
        taps, plain = self.taps(weight), super().correlator(weight)

        def run(
            window: Tensor, pieces: Sequence[tuple[int, int]], correlations: Correlations
        ) -> None:
            heads, head_dim, _ = correlations.products.shape
            if head_dim > HEAD:
                return plain(window, pieces, correlations)
            size = len(correlations.sums)
            partial = window.new_empty(len(pieces), size, dtype=torch.float32)
            lengths = [high - low for low, high in pieces[:2]]
            launch(
                programs.correlations,
                [len(pieces), heads],
                *(window, taps, partial, len(window) - 2, window.shape[1]),
                *(heads * head_dim, head_dim, lengths[0], lengths[-1]),
                P=PIXELS // 2,
                K=tile_of(head_dim, HEAD),
            )
            summing = partial, correlations.sums, len(pieces), size
            return launch(programs.add_in_order, [ceil(size / SUMS)], *summing, N=SUMS)

        return run

    def mixer(self, weight: Tensor, matrix: Tensor) -> Product:
        """Depthwise convolution, product and sum in one program."""
        taps, matrix = self.taps(weight), self.cast(matrix).t().contiguous()
        return self.adding(programs.mix, [taps, matrix], matrix.shape)

    def adder(self, weight: Tensor) -> Product:
        """Product and sum in one program."""
        weight = self.cast(weight).t().contiguous()
        return self.adding(programs.add_product, [weight], weight.shape)

    def adding(self, program: Any, weights: list[Tensor], shape: torch.Size) -> Product:
        """A program that adds its result for C channels to a map; shape is (C, O)."""
        channels, outputs = shape
        tile = tile_of(outputs)
        tiles = ceil(outputs / tile)

        def run(x: Tensor, out: Tensor) -> None:
            launch(
                program,
                [tiles_of_pixels(out) * tiles],
                *(x.contiguous(), *weights, out, *size_of(out), *steps_of(out)),
                *(channels, outputs, tiles),
                P=PIXELS,
                K=CHANNELS,
                N=tile,
            )

        return run

    def gate(self, weight: Tensor, value_weight: Tensor) -> Gate:
        """Both depthwise convolutions, GELU and product in one program."""
        taps, value_taps = self.taps(weight), self.taps(value_weight)
        tiles = ceil(len(weight) / CHANNELS)

        def run(window: Tensor, value_window: Tensor) -> Tensor:
            out = torch.empty_like(window[2:])
            launch(
                programs.gate,
                [tiles_of_pixels(out) * tiles],
                *(window, value_window, taps, value_taps, out, *size_of(out)),
                *(len(weight), tiles),
                P=PIXELS,
                K=CHANNELS,
            )
            return out

        return run

    def taps(self, weight: Tensor) -> Tensor:
        """A depthwise weight (C, 1, 3, 3) as (9, C)."""
        return rearrange(self.cast(weight), "c 1 y x -> (y x) c").contiguous()


def launch(program: Any, grid: list[int], *arguments: Any, **constants: Any) -> None:
    """Launch a program on the device of its first argument, even if not the current one.

    With 256 threads and no prefetching, no program spills registers or needs more than 64 KiB of
    shared memory when compiled for Turing, Ampere, Hopper or Blackwell.
    """
    device = arguments[0].device
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        program[tuple(grid)](*arguments, **constants, num_warps=8, num_stages=1)


def size_of(rows: Tensor) -> tuple[int, int]:
    """Pixels and width of rows (R, W, C)."""
    return rows.shape[0] * rows.shape[1], rows.shape[1]


def steps_of(rows: Tensor) -> tuple[int, int]:
    """Strides from row to row and from pixel to pixel."""
    return rows.stride(0), rows.stride(1)


def tiles_of_pixels(rows: Tensor) -> int:
    """The number of tiles for the pixels of rows (R, W, C)."""
    return ceil(size_of(rows)[0] / PIXELS)


def tile_of(numbers: int, most: int = OUTPUTS) -> int:
    """The smallest power of two, at least 16, that holds min(numbers, most)."""
    return max(16, 1 << (min(numbers, most) - 1).bit_length())
