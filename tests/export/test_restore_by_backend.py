"""`diffir restore` takes exported files, and says what does not apply to them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from typer.testing import CliRunner, Result

from diffir.cli.app import app
from diffir.export import Target

pytest.importorskip("onnxscript", reason="exports take diffir[export]")
pytest.importorskip("onnxruntime", reason="exports take diffir[export]")
Weights = Callable[[str], Path]
Exported = Callable[[str, Target], Path]
pytestmark = pytest.mark.timeout(600)  # tracing, on a busy machine


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with two photos."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(data.astronaut()[40:61, 200:231]).save(Path("photos", name))


def restore(*words: object) -> Result:
    return CliRunner().invoke(app, ["restore", *map(str, words)])


def test_an_exported_file_restores_as_its_weights_do(weights: Weights, exported: Exported) -> None:
    by_file = restore("photos/a.png", "-o", "a.png", "--model", exported("sr-x4", "onnx"))
    assert by_file.exit_code == 0, by_file.output
    restore("photos/a.png", "-o", "b.png", "--model", weights("sr-x4"), "--device", "cpu")
    a, b = (np.asarray(Image.open(name), np.int16) for name in ("a.png", "b.png"))
    assert np.abs(a - b).max() <= 1  # another order of sums, another rounding


def test_folders_and_processes_work_too(exported: Exported) -> None:
    path = exported("sr-x4", "onnx")
    done = restore("photos", "-o", "out", "--model", path, "--workers", 1)
    assert done.exit_code == 0, done.output
    assert Path("out/b.png").exists()
    again = restore("photos", "-o", "out", "--model", path)
    assert "0 restored, 2 skipped" in again.output


def test_a_preset_by_a_backend_is_told_how_to_export(tmp_path: Path) -> None:
    result = restore("photos/a.png", "-o", "a.png", "--backend", "openvino")
    assert result.exit_code == 2
    assert "diffir export sr-x4-lite --to openvino" in " ".join(result.output.split())
    assert not Path("a.png").exists()


def test_a_budget_of_memory_does_not_apply(exported: Exported) -> None:
    path = exported("sr-x4", "onnx")
    result = restore("photos/a.png", "-o", "a.png", "--model", path, "--memory", "1GB")
    assert result.exit_code == 2
    assert "leave that out" in " ".join(result.output.split())
