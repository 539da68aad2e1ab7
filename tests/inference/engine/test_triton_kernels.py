"""The GPU's programs: interpreted, compiled but not run, and where there is a GPU on it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from diffir.inference.engine import choice
from diffir.inference.engine.kernels import Kernels

HERE = Path(__file__).parent
CPU = torch.device("cpu")
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)


def run(name: str, **environment: str) -> None:
    """Run a file of cases in a process of its own: Triton looks at its flag when it is imported."""
    options = "-q", "-p", "no:cacheprovider", "-o", "timeout=600"
    command = [sys.executable, "-m", "pytest", *options, str(HERE / name)]
    alone = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(command, env=alone, cwd=HERE.parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]


@needs_triton
@pytest.mark.timeout(600)  # half a minute on an idle core
def test_interpreted_they_give_what_plain_torch_gives() -> None:
    run("triton_cases.py", TRITON_INTERPRET="1")


@needs_triton
@pytest.mark.timeout(600)
def test_they_compile_for_gpus_within_what_these_have(tmp_path: Path) -> None:
    run("triton_compiling.py", TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path))


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.timeout(600)
def test_on_a_gpu_they_give_what_plain_torch_gives() -> None:
    run("triton_cases.py", TRITON_INTERPRET="0")


def test_without_triton_plain_torch_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffir.inference.engine.triton_kernels", None)
    kernels = choice.kernels_for.__wrapped__(torch.float32, torch.device("cuda"))
    assert type(kernels) is Kernels


@pytest.mark.parametrize("error", [AssertionError("no driver"), OSError("no compiler")])
def test_whatever_a_trial_raises_plain_torch_is_chosen(error: Exception) -> None:
    class Broken(Kernels):
        def mixer(self, weight: Tensor, matrix: Tensor):
            raise error

    plain = Kernels()
    assert choice.tried(Broken, plain, CPU) is plain


@pytest.mark.parametrize("wrong", ["normed_products", "correlator", "mixer"])
def test_wrong_results_in_a_fused_step_are_noticed(wrong: str) -> None:
    class Wrong(Kernels):
        pass

    def doubled(self: Kernels, *arguments: object):
        run = getattr(super(Wrong, self), wrong)(*arguments)

        def twice(*maps: object) -> None:
            run(*maps)
            for out in maps[-1] if isinstance(maps[-1], list) else maps[-1:]:
                getattr(out, "sums", out).mul_(1.01)

        return twice

    setattr(Wrong, wrong, doubled)
    plain = Kernels()
    assert choice.tried(Wrong, plain, CPU) is plain
    assert choice.tried(Kernels, plain, CPU) is not plain
