"""Who may import whom: the table of docs/design.md, held by walking the imports."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "diffir"

# From the entrances down to the ground; a part may import what stands in a lower row.
LAYERS = [
    {"cli"},
    {"app"},
    {"training", "evaluation", "serving", "video", "export", "distributed", "integrations"},
    {"inference"},
    {"loading"},
    {"presets"},
    {"recipe", "checkpoints"},
    {"data"},
    {"images", "losses", "model", "tasks"},
    {"files", "libraries", "text", "threads", "_version"},
    {"errors"},
]
MODEL_MAY_IMPORT = {"torch", "einops"}
HEAVY = {
    *("av", "cv2", "gradio", "fastapi", "fsspec", "huggingface_hub", "lightning", "matplotlib"),
    *("onnx", "onnxruntime", "openvino", "prometheus_client", "ray", "skimage", "spandrel"),
    *("torch", "triton", "upath", "uvicorn"),
}


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions; relative ones made absolute."""
    package = ["diffir", *path.relative_to(PACKAGE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            found |= (
                {name} if name != "diffir" else {f"diffir.{alias.name}" for alias in node.names}
            )
    return found


FILES = [path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem[0] != "_"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward_only(path: Path) -> None:
    part = part_of(path)
    row = next(index for index, layer in enumerate(LAYERS) if part in layer)
    allowed = {part, *(name for layer in LAYERS[row + 1 :] for name in layer)}
    used = {name.split(".")[1] for name in imports(path) if name.startswith("diffir.")}
    assert used <= allowed, f"{part} may not import {used - allowed}"


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "model").glob("*.py")), ids=lambda path: path.name
)
def test_the_model_knows_torch_and_nothing_of_diffir(path: Path) -> None:
    foreign = {
        name.split(".")[0]
        for name in imports(path)
        if not name.startswith("diffir.model") and name.split(".")[0] not in sys.stdlib_module_names
    }
    assert foreign <= MODEL_MAY_IMPORT


def test_every_part_has_its_row() -> None:
    parts = {part_of(path) for path in FILES}
    assert parts == {name for layer in LAYERS for name in layer} - {"_version"}


def test_the_table_in_the_docs_is_the_table_held_here() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    table = re.search(r"<!-- layers -->\n```\n(.*?)```", text, re.DOTALL)
    assert table is not None
    rows = [set(line.split("   ")[0].split()) for line in table[1].splitlines()]
    assert rows == LAYERS


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after some code."""
    printing = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {printing}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_diffir_takes_no_heavy_library_along() -> None:
    assert not modules_after("import diffir") & HEAVY


def test_the_public_names_bring_no_optional_library() -> None:
    loaded = modules_after("import diffir; [getattr(diffir, name) for name in diffir.__all__]")
    assert not loaded & (HEAVY - {"torch"})


def test_a_network_is_loaded_without_what_only_compiling_needs() -> None:
    loaded = modules_after("import diffir; diffir.Restorer.from_pretrained('deblur-lite')")
    assert "torch" in loaded
    assert "sympy" not in loaded
