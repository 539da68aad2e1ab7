"""Open exported files: their metadata, and a function that runs them."""

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
from diffir.tasks import TASKS

from .facts import FORMAT_FIELDS, Facts
from .graph import inputs_of
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
"""The backends of each suffix, the default first.

There is none for programs of torch, which loads them by pickle and by evaluating formulas; both
could run code hidden in a file.
"""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """An exported network, ready to run on the CPU."""

    facts: Facts
    backend: Backend | Literal["torch"]
    run: Callable[[Mapping[str, Array]], Array]
    """From inputs by name (see `graph.Graph`) to the restored pictures (B, 3, H·scale, W·scale)."""


def is_exported(path: str | Path) -> bool:
    """Whether a name has the suffix of an exported file."""
    return Path(path).suffix.lower() in BACKENDS


def backend_of(path: Path, asked: Backend | None) -> Backend:
    """The requested or default backend of a file; raises WeightsError if it cannot run it."""
    possible = BACKENDS.get(path.suffix.lower())
    if possible is None and asked is None:
        raise WeightsError(
            f"{path} is not an exported file; give one that ends in {' or '.join(BACKENDS)}, or "
            "open weights with Restorer.from_pretrained"
        )
    if possible is None:
        raise WeightsError(
            f"--backend {asked} runs exported files, but {path} is not one; make one with "
            f"`diffir export {path} --to {'openvino' if asked == 'openvino' else 'onnx'}` "
            f"and give it as --model"
        )
    if not possible:
        raise WeightsError(
            f"{path} is a program of torch, and loading one can run code hidden in it; "
            "export the network to onnx or openvino instead"
        )
    if asked is not None and asked not in possible:
        raise WeightsError(f"{path} runs on {' or '.join(possible)}, not on {asked}")
    return asked or possible[0]


def open_file(path: Path, backend: Backend | None = None) -> Runner:
    """Open an exported file, by default with the usual backend for its suffix.

    Raises:
        WeightsError: when the file is missing, broken, of another program or of another backend.
        DeviceError: when the backend is not installed.
    """
    backend = backend_of(path, backend)
    paths = [path]
    if path.suffix.lower() == ".xml":
        weights = [path.with_suffix(suffix) for suffix in (".bin", ".BIN")]
        paths.append(next((each for each in weights if each.exists()), weights[0]))
    try:
        files = {each.suffix.lower(): each.read_bytes() for each in paths}
    except OSError as error:
        raise WeightsError(
            f"{error.filename} cannot be read ({error.strerror}); check the path"
        ) from error
    return open_content(files, backend, path)


def open_content(files: Files, backend: Backend, path: Path) -> Runner:
    """As `open_file`, for content in memory; errors name `path`."""
    opened = {"onnxruntime": open_onnxruntime, "openvino": open_openvino}
    try:
        return opened[backend](files, path)
    except (DeviceError, WeightsError):
        raise
    except Exception as error:  # the libraries raise exceptions of any kind
        lines = [line for line in str(error).splitlines() if not line.startswith("Exception from")]
        reason = next((line.strip() for line in lines if line.strip()), "no reason given")[:200]
        raise WeightsError(
            f"{path} cannot be opened by {backend} ({reason}); export it again"
        ) from error


def require_inputs(found: Mapping[str, int | None], facts: Facts, path: Path) -> None:
    """Raise WeightsError if inputs are not those that the metadata describes.

    `found` maps their names to the size of their second dimension, None if it is dynamic.
    """
    wanted = inputs_of(TASKS[facts.task])
    if {*found} != {*wanted} or found["noise"] not in (None, facts.ipr_dim):
        raise WeightsError(
            f"{path} has the inputs {found}, but its metadata describes {', '.join(wanted)} with "
            f"{facts.ipr_dim} numbers of noise; export it again"
        )


def fixed(size: object) -> int | None:
    """A dimension of a shape if it is static, else None."""
    return size if isinstance(size, int) else None


def open_onnxruntime(files: Files, path: Path) -> Runner:
    """ONNX Runtime on the CPU, with as many threads as torch has."""
    onnxruntime = library("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; its warnings concern its own graph rewriting
    session = onnxruntime.InferenceSession(
        files[".onnx"], options, providers=["CPUExecutionProvider"]
    )
    facts = Facts.of(session.get_modelmeta().custom_metadata_map, path)
    require_inputs({one.name: fixed(one.shape[1]) for one in session.get_inputs()}, facts, path)
    return Runner(
        facts=facts, backend="onnxruntime", run=lambda inputs: session.run(None, {**inputs})[0]
    )


def open_openvino(files: Files, path: Path) -> Runner:
    """OpenVINO on the CPU, with as many threads as torch has.

    In float32: by default it may round products to bfloat16, which shows in 8-bit pictures.
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
    sizes = {one.get_any_name(): one.get_partial_shape()[1] for one in model.inputs}
    static = {name: size.get_length() if size.is_static else None for name, size in sizes.items()}
    require_inputs(static, facts, path)
    compiled = core.compile_model(model, "CPU", settings)
    # A new request each time: threads that share one would get each other's pictures.
    return Runner(
        facts=facts,
        backend="openvino",
        run=lambda inputs: compiled.infer_new_request({**inputs})[0],
    )


def open_torch(files: Files, path: Path) -> Runner:
    """The program in torch, on the CPU; only for our own content, see `BACKENDS`."""
    extra = {EXTRA: ""}
    program = torch.export.load(io.BytesIO(files[".pt2"]), extra_files=extra)
    facts = Facts.of(json.loads(extra[EXTRA] or "{}"), path)
    module = program.module()

    @torch.no_grad()
    def run(inputs: Mapping[str, Array]) -> Array:
        return module(*map(torch.from_numpy, inputs.values())).numpy()

    return Runner(facts=facts, backend="torch", run=run)
