# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator"
# ruff: noqa: N803 (sizes of tiles, which the compiler must know, are capitals)
"""The GPU's programs, in Triton: each passes once over the memory of a stripe.

A map is (R, W, C), contiguous unless noted; C channels, O outputs. A program works on P pixels,
K channels at a time, and up to N outputs; elements beyond the map count as zero. Inputs have the
map's dtype, sums are float32. No two programs write to the same place, and every sum has a fixed
order, so results are bit-identical for any height of the stripes.
"""

import triton
import triton.language as tl

from .triton_parts import (
    add_to,
    depthwise,
    numbers_at,
    places_of,
    product,
    statistics,
    weights_at,
)


@triton.jit
def normed_product(
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    first: tl.tensor,
    second: tl.tensor,
    pixels: tl.tensor,
    width: tl.tensor,
    row_step: tl.tensor,
    pixel_step: tl.tensor,
    channels: tl.tensor,
    outputs: tl.tensor,
    tiles: tl.tensor,
    parts: tl.tensor,
    eps: tl.tensor,
    CENTRED: tl.constexpr,
    P: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
) -> None:
    """LayerNorm, then a product for each of 1 or 2 parts, from x (R, W, C) with strided rows.

    Weight is (C, parts · outputs), bias (parts · outputs); first and second are (R, W, outputs).
    A program computes one of `tiles` tiles of a part; those of the same pixels are neighbours, so
    that x is read from memory once. CENTRED is false for the bias-free norm, which keeps the mean.
    """
    tile = tl.program_id(0) % (tiles * parts)
    pixel = tl.program_id(0) // (tiles * parts) * P + tl.arange(0, P)
    here = pixel < pixels
    output = tile % tiles * N + tl.arange(0, N)
    column = tile // tiles * outputs + output
    places = x + places_of(pixel, width, row_step, pixel_step)
    mean, inverse = statistics(places, here, channels, eps, P, K)
    total = tl.zeros((P, N), tl.float32)
    for low in range(0, channels, K):
        channel = low + tl.arange(0, K)
        numbers = numbers_at(places, here, channel, channels)
        if CENTRED:
            numbers -= mean[:, None]
        weights = weights_at(weight, channel, channels, column, output < outputs, parts * outputs)
        numbers = (numbers * inverse[:, None]).to(weight.dtype.element_ty)
        total = product(numbers, weights, total)
    total += tl.load(bias + column, mask=output < outputs, other=0.0)[None, :]
    out = first
    if tile >= tiles:
        out = second
    ends = out + pixel.to(tl.int64)[:, None] * outputs + output[None, :]
    mask = here[:, None] & (output < outputs)[None, :]
    tl.store(ends, total.to(out.dtype.element_ty), mask=mask)


@triton.jit
def correlations(
    window: tl.tensor,
    weight: tl.tensor,
    partial: tl.tensor,
    rows: tl.tensor,
    width: tl.tensor,
    dim: tl.tensor,
    head_dim: tl.tensor,
    first_rows: tl.tensor,
    block_rows: tl.tensor,
    P: tl.constexpr,
    K: tl.constexpr,
) -> None:
    """Q Kᵀ and squared norms of one block of rows and one head, Q and K depthwise convolutions.

    Window is (rows + 2, W, 2C), C being dim; weight (9, 2C). Block 0 has `first_rows` rows, the
    others `block_rows`, the last the remainder. Partial is (blocks, C · c + 2C), for c = head_dim:
    the products (h, c, c) and the squares (2, h, c). K is c or more.
    """
    block, head = tl.program_id(0), tl.program_id(1)
    start = tl.where(block == 0, 0, first_rows + (block - 1) * block_rows) * width
    stop = tl.minimum(first_rows + block * block_rows, rows) * width
    inner = tl.arange(0, K)
    wanted = inner < head_dim
    of_q = head * head_dim + inner
    products = tl.zeros((K, K), tl.float32)
    squares_of_q = tl.zeros((K,), tl.float32)
    squares_of_k = tl.zeros((K,), tl.float32)
    for low in range(start, stop, P):
        pixel = low + tl.arange(0, P)
        q = depthwise(window, weight, pixel, stop, width, of_q, wanted, 2 * dim, P, K)
        k = depthwise(window, weight, pixel, stop, width, of_q + dim, wanted, 2 * dim, P, K)
        q, k = q.to(window.dtype.element_ty), k.to(window.dtype.element_ty)
        products = product(tl.trans(q), k, products)
        squares_of_q += tl.sum(q.to(tl.float32) * q.to(tl.float32), axis=0)
        squares_of_k += tl.sum(k.to(tl.float32) * k.to(tl.float32), axis=0)
    partial += block.to(tl.int64) * (dim * head_dim + 2 * dim)
    ends = partial + (of_q * head_dim)[:, None] + inner[None, :]
    tl.store(ends, products, mask=wanted[:, None] & wanted[None, :])
    tl.store(partial + dim * head_dim + of_q, squares_of_q, mask=wanted)
    tl.store(partial + dim * head_dim + dim + of_q, squares_of_k, mask=wanted)


@triton.jit
def add_in_order(
    partial: tl.tensor, sums: tl.tensor, blocks: tl.tensor, size: tl.tensor, N: tl.constexpr
) -> None:
    """Add partial (blocks, size) to sums (size), block by block: the second stage of a sum.

    Not as a tree, whose shape would depend on the number of blocks in a stripe.
    """
    place = tl.program_id(0) * N + tl.arange(0, N)
    total = tl.load(sums + place, mask=place < size)
    partial += place
    for _ in tl.range(0, blocks, loop_unroll_factor=8):
        total += tl.load(partial, mask=place < size)
        partial += size
    tl.store(sums + place, total, mask=place < size)


@triton.jit
def mix(
    window: tl.tensor,
    weight: tl.tensor,
    matrix: tl.tensor,
    out: tl.tensor,
    pixels: tl.tensor,
    width: tl.tensor,
    row_step: tl.tensor,
    pixel_step: tl.tensor,
    channels: tl.tensor,
    outputs: tl.tensor,
    tiles: tl.tensor,
    P: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
) -> None:
    """Add M V to out (R, W, O) with strided rows; V is a depthwise convolution.

    Window is (R + 2, W, C), weight (9, C), matrix (C, O), which is Mᵀ.
    """
    pixel = tl.program_id(0) // tiles * P + tl.arange(0, P)
    output = tl.program_id(0) % tiles * N + tl.arange(0, N)
    total = tl.zeros((P, N), tl.float32)
    for low in range(0, channels, K):
        channel = low + tl.arange(0, K)
        v = depthwise(
            window, weight, pixel, pixels, width, channel, channel < channels, channels, P, K
        )
        part = weights_at(matrix, channel, channels, output, output < outputs, outputs)
        total = product(v.to(window.dtype.element_ty), part, total)
    places = out + places_of(pixel, width, row_step, pixel_step)
    add_to(places, pixel < pixels, output, outputs, total)


@triton.jit
def add_product(
    x: tl.tensor,
    weight: tl.tensor,
    out: tl.tensor,
    pixels: tl.tensor,
    width: tl.tensor,
    row_step: tl.tensor,
    pixel_step: tl.tensor,
    channels: tl.tensor,
    outputs: tl.tensor,
    tiles: tl.tensor,
    P: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
) -> None:
    """Add a product of x (R, W, C) to out (R, W, O) with strided rows; weight (C, O)."""
    pixel = tl.program_id(0) // tiles * P + tl.arange(0, P)
    output = tl.program_id(0) % tiles * N + tl.arange(0, N)
    here = pixel < pixels
    total = tl.zeros((P, N), tl.float32)
    for low in range(0, channels, K):
        channel = low + tl.arange(0, K)
        numbers = numbers_at(x + pixel.to(tl.int64) * channels, here, channel, channels)
        part = weights_at(weight, channel, channels, output, output < outputs, outputs)
        total = product(numbers.to(weight.dtype.element_ty), part, total)
    places = out + places_of(pixel, width, row_step, pixel_step)
    add_to(places, here, output, outputs, total)


@triton.jit
def gate(
    window: tl.tensor,
    value_window: tl.tensor,
    weight: tl.tensor,
    value_weight: tl.tensor,
    out: tl.tensor,
    pixels: tl.tensor,
    width: tl.tensor,
    channels: tl.tensor,
    tiles: tl.tensor,
    P: tl.constexpr,
    K: tl.constexpr,
) -> None:
    """`GELU(depthwise(x1)) ⊙ depthwise(x2)` of windows (R + 2, W, C), weights (9, C)."""
    pixel = tl.program_id(0) // tiles * P + tl.arange(0, P)
    channel = tl.program_id(0) % tiles * K + tl.arange(0, K)
    wanted = channel < channels
    x = depthwise(window, weight, pixel, pixels, width, channel, wanted, channels, P, K)
    value = depthwise(
        value_window, value_weight, pixel, pixels, width, channel, wanted, channels, P, K
    )
    gated = 0.5 * x * (1 + tl.erf(x * 0.7071067811865476)) * value
    ends = out + pixel.to(tl.int64)[:, None] * channels + channel[None, :]
    mask = (pixel < pixels)[:, None] & wanted[None, :]
    tl.store(ends, gated.to(out.dtype.element_ty), mask=mask)
