"""What is released: a wheel and an sdist that hold what they should, and need few libraries."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import diffir

ROOT = Path(__file__).parents[1]
SOURCES = "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "NOTICE", "src", "tests"
WITHOUT_EXTRAS = """
import importlib, pkgutil, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {optional!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import diffir
parts = {parts!r}
for module in pkgutil.walk_packages(diffir.__path__, "diffir."):
    if module.name.split(".")[1] in parts and "triton_" not in module.name:
        importlib.import_module(module.name)
print(diffir.__file__)
"""
CORE = (
    "cli checkpoints data errors files images inference loading losses model presets recipe tasks"
)
OPTIONAL = (
    "av cv2 fastapi fsspec gradio huggingface_hub lightning_fabric matplotlib onnx onnxruntime "
    "openvino prometheus_client ray skimage spandrel starlette tensorboard triton upath uvicorn"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built from a copy."""
    pytest.importorskip("build", reason="build is not installed (pip install '.[dev]')")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that sees the wheel's content, not the checkout's."""
    target = tmp_path_factory.mktemp("site")
    (wheel,) = built.glob("*.whl")
    options = "--no-deps", "--no-index", "--quiet", "--target", str(target)
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)
    return {**os.environ, "PYTHONPATH": str(target)}


def test_the_wheel_holds_the_package_with_its_weights_and_no_tests(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.name.startswith(f"diffir-{diffir.__version__}-")
    assert wheel.stat().st_size < 60_000_000
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"diffir"}
    inside = {Path(name).name for name in names}
    assert {"py.typed", "sr-x4-lite.safetensors", "sr-x4-lite.md", "LICENSE", "NOTICE"} <= inside
    assert not any("test" in Path(name).name for name in names)


def test_the_sdist_holds_what_builds_the_wheel(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "src" / "diffir").rglob("*")
        if path.suffix in (".py", ".safetensors", ".md")
    }
    assert package <= names
    assert not any(name.startswith(("tests", "docs")) for name in names)


def test_without_any_extra_all_core_modules_import(
    installed: dict[str, str], tmp_path: Path
) -> None:
    code = WITHOUT_EXTRAS.format(optional=set(OPTIONAL.split()), parts=set(CORE.split()))
    done = subprocess.run(
        [sys.executable, "-c", code], env=installed, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(installed["PYTHONPATH"])


def test_what_was_installed_restores_with_the_bundled_weights(
    installed: dict[str, str], tmp_path: Path
) -> None:
    code = "import diffir, numpy; print(diffir.restore(numpy.zeros((8, 8, 3))).pixels.shape)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=installed, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "(32, 32, 3)\n", done.stderr


def test_the_commands_complete_themselves_in_a_shell() -> None:
    environment = {**os.environ, "_DIFFIR_COMPLETE": "complete_bash", "COMP_WORDS": "diffir res"}
    done = subprocess.run(
        [sys.executable, "-c", "from diffir.cli import main; main()"],
        env={**environment, "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["restore"], done.stderr
