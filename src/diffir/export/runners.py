"""Exported files, opened: what each says of itself, and how to run it."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from diffir.errors import DeviceError, WeightsError

from .facts import FORMAT_FIELDS, Facts
from .libraries import library
from .openvino_file import SECTION
from .torch_file import EXTRA

Backend: TypeAlias = Literal["onnxruntime", "openvino"]
Array: TypeAlias = NDArray[np.float32]
Files: TypeAlias = Mapping[str, bytes]
"""Contents by suffix: .onnx, or .xml and .bin, or .pt2."""

BACKENDS: dict[str, tuple[Backend, ...]] = {
    ".onnx": ("onnxruntime", "openvino"),
    ".xml": ("openvino",),
    ".pt2": (),
}
"""What runs a file of each suffix, the usual one first.

Nothing runs programs of torch: it loads them by pickle and by evaluating formulas, which could run
what somebody hid in a file.
"""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """An exported network, ready to run on the CPU."""

    facts: Facts
    backend: Backend | Literal["torch"]
    run: Callable[[Mapping[str, Array]], Array]
    """From inputs by name (see `graph.Graph`) to the restored pictures (B, 3, H·scale, W·scale)."""


def is_exported(path: str | Path) -> bool:
    """Whether a name is that of an exported file."""
    return Path(path).suffix.lower() in BACKENDS


def backend_of(path: Path, asked: Backend | None) -> Backend:
    """What runs a file: what was asked for, or the usual; raises WeightsError where that can't."""
    possible = BACKENDS.get(path.suffix.lower())
    if possible is None:
        raise WeightsError(
            f"--backend {asked} runs exported files, and {path} is none; make one with "
            f"`diffir export {path} --to {'openvino' if asked == 'openvino' else 'onnx'}` "
            f"and give it as --model"
        )
    if not possible:
        raise WeightsError(
            f"{path} is a program of torch, and loading one can run code that is hidden in it, so "
            "it is not loaded here; export the network to onnx or openvino"
        )
    if asked is not None and asked not in possible:
        raise WeightsError(f"{path} is run by {' or '.join(possible)}, not by {asked}")
    return asked or possible[0]


def open_file(path: Path, backend: Backend | None = None) -> Runner:
    """An exported file, ready to run; the backend follows from the suffix where none is asked for.

    Raises:
        WeightsError: when the file is missing, broken, of another program or of another backend.
        DeviceError: when the backend is not installed.
    """
    backend = backend_of(path, backend)
    suffixes = (".xml", ".bin") if path.suffix.lower() == ".xml" else (path.suffix,)
    try:
        files = {each.lower(): path.with_suffix(each).read_bytes() for each in suffixes}
    except OSError as error:
        raise WeightsError(
            f"{error.filename} cannot be read ({error.strerror}); check the path"
        ) from error
    return open_content(files, backend, path)


def open_content(files: Files, backend: Backend, path: Path) -> Runner:
    """As `open_file`, of content in memory; `path` is what errors blame."""
    opened = {"onnxruntime": open_onnxruntime, "openvino": open_openvino}
    try:
        return opened[backend](files, path)
    except (DeviceError, WeightsError):
        raise
    except Exception as error:  # the libraries raise what they like
        lines = [line for line in str(error).splitlines() if not line.startswith("Exception from")]
        reason = next((line.strip() for line in lines if line.strip()), "no reason told")[:200]
        raise WeightsError(
            f"{path} cannot be opened by {backend} ({reason}); export it anew"
        ) from error


def open_onnxruntime(files: Files, path: Path) -> Runner:
    """ONNX Runtime on the CPU, with as many threads as torch has."""
    onnxruntime = library("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; its warnings tell of its own rewriting
    session = onnxruntime.InferenceSession(
        files[".onnx"], options, providers=["CPUExecutionProvider"]
    )
    facts = Facts.of(session.get_modelmeta().custom_metadata_map, path)
    return Runner(
        facts=facts, backend="onnxruntime", run=lambda inputs: session.run(None, {**inputs})[0]
    )


def open_openvino(files: Files, path: Path) -> Runner:
    """OpenVINO on the CPU, with as many threads as torch has.

    Products are float32: by default it may round them to bfloat16, which shows in 8-bit pictures.
    """
    openvino = library("openvino")
    core = openvino.Core()
    if ".onnx" in files:
        model = core.read_model(io.BytesIO(files[".onnx"]))
        section = "framework"
    else:
        model, section = core.read_model(files[".xml"], files[".bin"]), SECTION
    places = {name: [section, name] for name in FORMAT_FIELDS}
    facts = Facts.of(
        {
            name: model.get_rt_info(place).astype(str)
            for name, place in places.items()
            if model.has_rt_info(place)
        },
        path,
    )
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    compiled = core.compile_model(model, "CPU", settings)
    return Runner(facts=facts, backend="openvino", run=lambda inputs: compiled({**inputs})[0])


def open_torch(files: Files, path: Path) -> Runner:
    """The program in torch, on the CPU; for content of our own alone, see `BACKENDS`."""
    extra = {EXTRA: ""}
    program = torch.export.load(io.BytesIO(files[".pt2"]), extra_files=extra)
    facts = Facts.of(json.loads(extra[EXTRA] or "{}"), path)
    module = program.module()

    @torch.no_grad()
    def run(inputs: Mapping[str, Array]) -> Array:
        return module(*map(torch.from_numpy, inputs.values())).numpy()

    return Runner(facts=facts, backend="torch", run=run)
