"""The device that was asked for, or a sentence."""

from pathlib import Path

import pytest
import torch

from diffir.errors import DeviceError
from diffir.inference import devices
from diffir.inference.devices import is_out_of_memory, pick_device, usable_precision


@pytest.fixture
def machine(monkeypatch):
    """Pretend that this machine has some devices."""

    def pretend(*, cuda: int = 0, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


def test_auto_is_cuda_then_mps_then_cpu(machine):
    machine(cuda=1, mps=True)
    assert pick_device().type == "cuda"
    machine(mps=True)
    assert pick_device("auto").type == "mps"
    machine()
    assert pick_device("auto").type == "cpu"


def test_a_device_that_is_there_is_taken(machine):
    machine(cuda=2)
    assert pick_device("cuda:1") == torch.device("cuda:1")
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:7", "mps", "meta", "cpu:1"])
def test_a_device_that_is_not_there_is_refused_with_what_is(machine, name):
    machine()
    with pytest.raises(DeviceError, match=f"device '{name}' is not on this machine"):
        pick_device(name)


def test_a_gpu_beyond_the_last_is_refused_with_their_number(machine):
    machine(cuda=2)
    with pytest.raises(DeviceError, match="'cuda:2' is not on this machine, which has 2"):
        pick_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cuda:-1", "cpu cpu"])
def test_a_name_of_no_device_is_refused(name):
    with pytest.raises(DeviceError, match="; use auto, cpu, cuda or mps"):
        pick_device(name)


def test_lack_of_memory_is_told_from_other_errors():
    with pytest.raises(RuntimeError) as lack:
        torch.empty(2**50)
    assert is_out_of_memory(lack.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


@pytest.mark.parametrize("able", [True, False])
def test_bfloat16_is_taken_where_it_is_computed_and_float32_elsewhere(able, monkeypatch, caplog):
    monkeypatch.setattr(devices, "computes_bfloat16", lambda _device: able)
    cpu = torch.device("cpu")
    assert usable_precision("bfloat16", cpu) == ("bfloat16" if able else "float32")
    assert ("this cpu has no instructions for bfloat16; using float32" in caplog.text) != able
    assert usable_precision("float32", cpu) == "float32"


def test_a_cpu_says_whether_it_computes_bfloat16():
    """By its flags; of other systems and processors nothing is known here."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        pytest.skip("no /proc/cpuinfo on this system")
    if "avx2" not in flags:
        pytest.skip("not an x86 processor")
    able = devices.computes_bfloat16(torch.device("cpu"))
    assert able == any(flag in flags for flag in ("avx512bw", "avx_ne_convert"))
