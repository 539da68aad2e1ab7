"""What test_triton_kernels.py runs in a process of its own: interpreted on numpy, or on a GPU."""

import os
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
from official import toy
from torch import Tensor

from diffir.inference.engine import choice, plan_for, restore, run
from diffir.inference.engine import plan as plans
from diffir.inference.engine.correlations import Correlations
from diffir.inference.engine.kernels import Kernels
from diffir.inference.engine.triton_kernels import TritonKernels
from diffir.model import DiffIRS2
from diffir.model.blocks import LayerNorm2d

HERE = torch.device("cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda")
SIZES = [(1, 1), (3, 27)]  # rows and width; a tile has 64 pixels
DTYPES = [torch.float32, torch.bfloat16]
EXACT = 1e-5  # the same sums in another order
COARSE = 2**-6  # of the largest: a few roundings to the 8 bits of bfloat16, at different steps
Run = Callable[[Kernels], list[Tensor]]


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    with HERE:
        yield


def numbers(*shape: int) -> Tensor:
    generator = torch.Generator("cpu").manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, device="cpu").to(HERE) / 4


def apart(*shape: int) -> Tensor:
    """A map whose rows lie apart, as those of level 1 do."""
    return numbers(shape[0], 2, *shape[1:])[:, 1]


def agree(run: Run, dtype: torch.dtype) -> None:
    """Hold Triton's results against plain torch's, and against its own of a second run."""
    ours, again, theirs = run(TritonKernels(dtype)), run(TritonKernels(dtype)), run(Kernels(dtype))
    for mine, repeated, wanted in zip(ours, again, theirs, strict=True):
        assert torch.equal(mine, repeated)
        bound = EXACT if dtype == torch.float32 else COARSE * wanted.abs().max()
        assert (mine.float() - wanted.float()).abs().max() <= bound


def memory(kernels: Kernels) -> Callable[..., Tensor]:
    def take(name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return torch.empty(shape, dtype=dtype or kernels.dtype)

    return take


def norm_of(channels: int, bias: bool) -> LayerNorm2d:
    norm = LayerNorm2d(channels, bias)
    norm.eps = 0.1  # large enough to be seen
    return norm


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("channels", "outputs", "parts", "bias"),
    [(24, 48, 1, True), (48, 20, 1, False), (40, 144, 2, True), (8, 7, 2, False)],
)
def test_a_norm_and_its_products_are_one(
    channels: int, outputs: int, parts: int, bias: bool, size: tuple[int, int], dtype: torch.dtype
) -> None:
    halves = [
        (numbers(outputs, channels + i)[:, i:], numbers(outputs + i)[i:]) for i in range(parts)
    ]

    def run(kernels: Kernels) -> list[Tensor]:
        outs = [torch.full((*size, outputs), torch.nan, dtype=dtype) for _ in halves]
        product = kernels.normed_products(norm_of(channels, bias), halves, memory(kernels))
        product(apart(*size, channels) + 0.3, outs)
        return outs

    agree(run, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("dim", "heads"), [(16, 2), (24, 1), (96, 1), (130, 1)])
@pytest.mark.parametrize(("cuts", "width"), [((0, 3), 1), ((0, 3, 4), 19), ((0, 1, 3, 5, 6), 9)])
def test_correlations_are_summed_over_every_block(
    cuts: tuple[int, ...], dim: int, heads: int, width: int, dtype: torch.dtype
) -> None:
    window, weight = numbers(cuts[-1] + 2, width, 2 * dim).to(dtype), numbers(2 * dim, 1, 3, 3)
    pieces = [(low + 7, high + 7) for low, high in pairwise(cuts)]

    def run(kernels: Kernels) -> list[Tensor]:
        correlations = Correlations(dim, heads, window.device)
        correlations.sums += 1
        kernels.correlator(weight)(window, pieces, correlations)
        return [correlations.products, correlations.squares]

    agree(run, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("channels", "outputs"), [(24, 24), (40, 130)])
def test_what_adds_to_a_map_adds_to_rows_apart_and_nothing_beside(
    channels: int, outputs: int, size: tuple[int, int], dtype: torch.dtype
) -> None:
    x = numbers(*size, 2 * channels).to(dtype)[..., :channels]  # not dense
    window = numbers(size[0] + 2, size[1], channels).to(dtype)
    weight, taps = numbers(outputs, channels), numbers(channels, 1, 3, 3)

    def run(kernels: Kernels) -> list[Tensor]:
        added, mixed = (numbers(size[0], 2, size[1], outputs) for _ in range(2))
        kernels.adder(weight)(x, added[:, 1])
        kernels.mixer(taps, weight)(window, mixed[:, 1])
        low = torch.ones(*size, outputs, dtype=dtype)
        kernels.adder(weight)(x, low)
        return [added, mixed, low]

    agree(run, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [24, 40])
def test_a_gate_is_one(channels: int, size: tuple[int, int], dtype: torch.dtype) -> None:
    window, value = (
        numbers(size[0] + 2, size[1] + i, channels)[:, i:].to(dtype).contiguous() for i in (0, 1)
    )
    weight, other = numbers(channels, 1, 3, 3) * 4, numbers(channels + 1, 1, 3, 3)[1:]
    agree(lambda kernels: [kernels.gate(weight, other)(window, value)], dtype)


def test_the_height_of_stripes_changes_no_bit() -> None:
    kernels, pieces = TritonKernels(), [(0, 1), (1, 3), (3, 5), (5, 6)]
    window, taps, weight = numbers(8, 33, 48), numbers(48, 1, 3, 3), numbers(24, 24)

    def run(*cuts: int) -> list[Tensor]:
        correlations, out, norm = Correlations(24, 1, window.device), numbers(6, 33, 24), []
        for low, high in pairwise(cuts):
            part = [piece for piece in pieces if low <= piece[0] < high]
            kernels.correlator(taps)(window[low : high + 2], part, correlations)
            half = window[low : high + 2, :, :24].contiguous()
            kernels.mixer(taps[:24], weight)(half, out[low:high])
            norm.append(torch.empty(high - low, 33, 24))
            products = kernels.normed_products(
                norm_of(24, True), [(weight, weight[0])], memory(kernels)
            )
            products(out[low:high], norm[-1:])
        return [correlations.sums, out, torch.cat(norm)]

    whole = run(0, 6)
    for cuts in ((0, 1, 6), (0, 3, 5, 6)):
        assert all(torch.equal(*pair) for pair in zip(run(*cuts), whole, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_trial_finds_them_right(dtype: torch.dtype) -> None:
    plain = Kernels(dtype)
    chosen = choice.tried(choice.triton_kernels, plain, HERE)
    assert isinstance(chosen, TritonKernels)
    assert chosen.dtype == dtype


def test_a_whole_network_comes_out_as_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "BLOCK", 64)
    torch.manual_seed(0)
    model = DiffIRS2(toy("deblur", num_blocks=(1, 1, 1, 1), num_refinement_blocks=1)).eval()
    for parameter in model.parameters():
        if parameter.ndim not in (2, 4):  # norms, temperatures and biases
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    lq, noise = numbers(1, 3, 16, 24), numbers(1, model.config.ipr_dim)
    tall = plan_for(model.config, 1, 16, 24)
    low = tall.halved()
    while low is not None and low.grids[0].rows >= tall.grids[0].height:
        low = low.halved()
    assert low is not None
    with torch.inference_mode():
        wanted = model(lq, noise)
    monkeypatch.setattr(run, "kernels_for", lambda dtype, _: TritonKernels(dtype))
    assert (restore(model, lq, noise, budget=low.bytes) - wanted).abs().max() < EXACT
