# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator"
# ruff: noqa: N803 (sizes of tiles, which the compiler must know, are capitals)
"""Functions shared by the GPU's programs; P pixels, K channels, N outputs of a tile."""

import os

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")
"""Whether Triton runs on NumPy, which cannot multiply bfloat16."""


@triton.jit
def statistics(
    places: tl.tensor,
    here: tl.tensor,
    channels: tl.tensor,
    eps: tl.tensor,
    P: tl.constexpr,
    K: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """Mean and inverse deviation over the channels of P pixels; the second pass hits the cache."""
    total = tl.zeros((P,), tl.float32)
    for low in range(0, channels, K):
        total += tl.sum(numbers_at(places, here, low + tl.arange(0, K), channels), axis=1)
    mean = total / channels
    spread = tl.zeros((P,), tl.float32)
    for low in range(0, channels, K):
        channel = low + tl.arange(0, K)
        apart = numbers_at(places, here, channel, channels) - mean[:, None]
        apart = tl.where((channel < channels)[None, :], apart, 0.0)
        spread += tl.sum(apart * apart, axis=1)
    return mean, 1 / tl.sqrt(spread / channels + eps)


@triton.jit
def depthwise(
    window: tl.tensor,
    weight: tl.tensor,
    pixel: tl.tensor,
    stop: tl.tensor,
    width: tl.tensor,
    channel: tl.tensor,
    wanted: tl.tensor,
    channels: tl.tensor,
    P: tl.constexpr,
    K: tl.constexpr,
) -> tl.tensor:
    """(P, K) of a window (R + 2, W, channels); `pixel` counts the inner rows, up to `stop`."""
    column, row = pixel % width, pixel // width
    total = tl.zeros((P, K), tl.float32)
    for y in range(3):
        for x in tl.static_range(3):
            beside = column + x - 1
            inside = (pixel < stop) & (beside >= 0) & (beside < width)
            place = ((row + y).to(tl.int64) * width + beside) * channels
            mask = inside[:, None] & wanted[None, :]
            numbers = tl.load(window + place[:, None] + channel[None, :], mask=mask, other=0.0)
            factors = tl.load(weight + (3 * y + x) * channels + channel, mask=wanted, other=0.0)
            total += numbers.to(tl.float32) * factors.to(tl.float32)[None, :]
    return total


@triton.jit
def places_of(
    pixel: tl.tensor, width: tl.tensor, row_step: tl.tensor, pixel_step: tl.tensor
) -> tl.tensor:
    """Offsets of pixels in a map whose rows need not be adjacent; steps are in elements."""
    return (pixel // width).to(tl.int64) * row_step + pixel % width * pixel_step


@triton.jit
def numbers_at(
    places: tl.tensor, here: tl.tensor, channel: tl.tensor, channels: tl.tensor
) -> tl.tensor:
    """(P, K) in float32 from P places, those where `here` is true."""
    mask = here[:, None] & (channel < channels)[None, :]
    return tl.load(places[:, None] + channel[None, :], mask=mask, other=0.0).to(tl.float32)


@triton.jit
def weights_at(
    weight: tl.tensor,
    channel: tl.tensor,
    channels: tl.tensor,
    column: tl.tensor,
    wanted: tl.tensor,
    columns: tl.tensor,
) -> tl.tensor:
    """(K, N) of a weight (channels, columns)."""
    mask = (channel < channels)[:, None] & wanted[None, :]
    return tl.load(weight + channel[:, None] * columns + column[None, :], mask=mask, other=0.0)


@triton.jit
def product(x: tl.tensor, weight: tl.tensor, total: tl.tensor) -> tl.tensor:
    """`total + x W`, (P, K) by (K, N); float32 is not rounded to TF32.

    In the interpreter, NumPy's order of summation could depend on the row; a GPU's does not.
    """
    if INTERPRETED:
        x, weight = x.to(tl.float32), weight.to(tl.float32)
        return total + tl.sum(x[:, :, None] * weight[None, :, :], axis=1)
    return tl.dot(x, weight, total, input_precision="ieee")


@triton.jit
def add_to(
    places: tl.tensor, here: tl.tensor, output: tl.tensor, outputs: tl.tensor, total: tl.tensor
) -> None:
    """Add (P, N) to a map of any dtype at P places."""
    ends = places[:, None] + output[None, :]
    mask = here[:, None] & (output < outputs)[None, :]
    grown = tl.load(ends, mask=mask, other=0.0).to(tl.float32) + total
    tl.store(ends, grown.to(places.dtype.element_ty), mask=mask)
