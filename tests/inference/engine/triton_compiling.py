"""What test_triton_kernels.py runs where Triton compiles: every program, for GPUs not there."""

from typing import Any

import pytest
import torch
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile

from diffir.inference.engine import triton_programs
from diffir.inference.engine.correlations import Correlations
from diffir.inference.engine.triton_kernels import TritonKernels
from diffir.model.blocks import LayerNorm2d

DIM, HIDDEN = 96, 256
SHARED = 64 * 1024  # bytes that a Turing has for a block; the others have more
Launch = tuple[Any, tuple[Any, ...], dict[str, Any]]
NAMES = {torch.float32: "*fp32", torch.bfloat16: "*bf16"}


def launches(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """What a block of a published network would launch."""
    found: list[Launch] = []

    class Recorder:
        def __init__(self, program: Any) -> None:
            self.program = program

        def __getitem__(self, grid: tuple[int, ...]) -> Any:
            return lambda *arguments, **constants: found.append(
                (self.program, arguments, constants)
            )

    for name in ("normed_product", "correlations", "add_in_order", "mix", "add_product", "gate"):
        monkeypatch.setattr(triton_programs, name, Recorder(getattr(triton_programs, name)))
    kernels, x = TritonKernels(dtype), torch.zeros(4, 16, DIM)

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=dtype)

    halves = [(zeros(HIDDEN, DIM), zeros(HIDDEN))] * 2
    outs, taps = [zeros(4, 16, HIDDEN)] * 2, zeros(HIDDEN, 1, 3, 3)
    kernels.normed_products(LayerNorm2d(DIM, True), halves, zeros)(x, outs)  # type: ignore[arg-type]
    for heads in (1, 2):
        correlations = Correlations(DIM, heads, x.device)
        kernels.correlator(taps[: 2 * DIM])(zeros(6, 16, 2 * DIM), [(0, 4)], correlations)
    kernels.mixer(taps[:DIM], zeros(DIM, DIM))(zeros(6, 16, DIM), x)
    kernels.adder(zeros(DIM, HIDDEN))(zeros(4, 16, HIDDEN), x)
    kernels.gate(taps, taps)(zeros(6, 16, HIDDEN), zeros(6, 16, HIDDEN))
    return found


def source(program: Any, arguments: tuple[Any, ...], constants: dict[str, Any]) -> ASTSource:
    """A program with the types and divisibilities of its arguments."""
    names = dict(zip(program.arg_names, arguments, strict=False))
    types = {name: type_of(value) for name, value in names.items()}
    even = [i for i, value in enumerate(arguments) if isinstance(value, Tensor) or value % 16 == 0]
    return ASTSource(
        program,
        {**types, **dict.fromkeys(constants, "constexpr")},
        constexprs={(program.arg_names.index(name),): value for name, value in constants.items()},
        attrs={(i,): [["tt.divisibility", 16]] for i in even},
    )


def type_of(value: Any) -> str:
    if isinstance(value, Tensor):
        return NAMES[value.dtype]
    return "i32" if isinstance(value, int) else "fp32"


@pytest.mark.parametrize(("capability", "dtype"), [(80, torch.float32), (90, torch.bfloat16)])
def test_every_program_compiles(
    capability: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = launches(dtype, monkeypatch)
    assert len(found) == 8
    for program, arguments, constants in found:
        options = {name: constants.pop(name) for name in ("num_warps", "num_stages")}
        target = GPUTarget("cuda", capability, 32)
        made = compile(source(program, arguments, constants), target=target, options=options)
        assert made.metadata.shared <= SHARED, program.__name__
        products = made.asm["ptx"].count("mma")
        if "products" in program.__name__ or program.__name__ in ("mix", "add_product"):
            assert (products > 0) == (dtype == torch.bfloat16), program.__name__
