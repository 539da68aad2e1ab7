"""Build the page that enlarges photos in a browser: any static server may hand it out.

    python examples/browser_page.py build/browser
    python -m http.server --directory build/browser --bind 127.0.0.1

The folder gets docs/browser, the exported network, the noise that it starts from (seed 0, so that
the page gives what `diffir restore` does) and ONNX Runtime's WebAssembly, of npm's package
onnxruntime-web; `npm` fetches that, from its cache where it has it. With --model, an exported
network that is there already.
"""

import argparse
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from diffir.export import ExportedRestorer, export

STATIC = Path(__file__).parents[1] / "docs" / "browser"
RUNTIME = "onnxruntime-web@1.30.0"
PARTS = {
    "package/dist/ort.wasm.bundle.min.mjs": "ort.js",  # not every server knows .mjs
    "package/dist/ort-wasm-simd-threaded.wasm": "ort.wasm",
    "package/package.json": "package.json",  # names version and licence
}


def add_runtime(folder: Path) -> None:
    """ONNX Runtime's files, out of npm's package."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(
            ["npm", "pack", RUNTIME, "--prefer-offline", "--silent", "--pack-destination", place],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (package,) = Path(place).glob("*.tgz")
        with tarfile.open(package) as tar:
            for name, target in PARTS.items():
                content = tar.extractfile(name)
                assert content is not None
                (folder / target).write_bytes(content.read())


def add_model(folder: Path, model: Path | None, name: str) -> None:
    """The network, and what the page has to know of it."""
    target = folder / "model.onnx"
    if model is None:
        export(name, target, "onnx")
    else:
        shutil.copyfile(model, target)
    restorer = ExportedRestorer.from_file(target)
    if restorer.task.wants_mask:
        raise SystemExit(f"{name} wants a mask, which the page has no place for")
    facts = {
        "name": restorer.runner.facts.preset or name,
        "scale": restorer.scale,
        "noise": restorer.noise(0)[0].tolist(),
    }
    (folder / "model.json").write_text(json.dumps(facts), encoding="utf-8")


def build(folder: Path, model: Path | None = None, name: str = "sr-x4-lite") -> None:
    """The whole page."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in STATIC.iterdir():
        shutil.copyfile(path, folder / path.name)
    add_runtime(folder / "ort")
    add_model(folder, model, name)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", default="sr-x4-lite", help="of the network to export")
    parser.add_argument("--model", type=Path, help="an exported .onnx that is there already")
    arguments = parser.parse_args()
    build(arguments.folder, arguments.model, arguments.name)
    print(f"python -m http.server --directory {arguments.folder} --bind 127.0.0.1")


if __name__ == "__main__":
    main()
