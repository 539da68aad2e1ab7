"""Export a network to another format: trace, convert, check, write."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from diffir.errors import WeightsError
from diffir.files import digest_of, write_whole
from diffir.loading import WEIGHTS, load_checkpoint, weights_file
from diffir.model import DiffIRS2
from diffir.tasks import TASKS, Task

from .check import Row, check
from .facts import Facts, Precision
from .graph import inputs_of, trace
from .libraries import library
from .onnx_file import Inputs, to_float16, to_int8, to_onnx, with_facts
from .openvino_file import to_openvino
from .photos import calibration
from .runners import Files, Runner, open_onnxruntime, open_openvino, open_torch
from .torch_file import to_torch

Target: TypeAlias = Literal["onnx", "openvino", "torch"]
SUFFIXES: dict[Target, str] = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
OPENED_BY: dict[Target, Callable[[Files, Path], Runner]] = {
    "onnx": open_onnxruntime,
    "openvino": open_openvino,
    "torch": open_torch,
}
"""Used by the check."""
LIBRARIES: dict[Target, tuple[str, ...]] = {
    "onnx": ("onnxscript", "onnxruntime"),
    "openvino": ("onnxscript", "onnxruntime", "openvino"),
    "torch": (),
}
"""Required libraries, checked before the work begins."""
OWN_LICENCE = "Apache-2.0"
OTHERS_LICENCE = "that of the weights it was made from"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was written, and how it compares with the original network."""

    path: Path
    size: int
    """Of all its files, in bytes."""
    facts: Facts
    rows: list[Row]


def export(
    name: str | Path,
    path: str | Path,
    to: Target,
    *,
    precision: Precision = "float32",
    photos: str | Path | None = None,
) -> Report:
    """Export a network to a file for another program, after checking its results.

    Args:
        name: a preset's name or a weights file.
        path: the output, with the suffix in `SUFFIXES`; OpenVINO's weights go beside it (.bin). It
            appears whole, or not at all.
        to: the format.
        precision: float16 and int8 are smaller, and slightly inexact; torch's is always float32.
        photos: a folder of pictures like those to be restored, only for int8.

    Raises:
        WeightsError: when the network cannot be exported this way, or the results differ.
        DataError, PictureError: when there are no photos, or one cannot be read.
        MissingLibraryError: when a library is not installed.
        OSError: when the output cannot be written.
    """
    path, photos = Path(path), None if photos is None else Path(photos)
    require_consistent(path, to, precision, photos)
    for needed in LIBRARIES[to]:
        library(needed)
    checkpoint = load_checkpoint(name)
    model, task = checkpoint.model, TASKS[checkpoint.task]
    if not isinstance(model, DiffIRS2):
        raise WeightsError(
            f"{name} is a stage-1 network, which needs the ground truth; export stage-2 weights"
        )
    samples = [] if photos is None else calibration(photos, model, task)
    weights = weights_file(name)
    facts = Facts(
        task=task.name,
        scale=model.config.scale,
        ipr_dim=model.config.ipr_dim,
        precision=precision,
        preset=checkpoint.preset,
        weights_sha256=digest_of(weights),
        licence=licence_of(weights),
    )
    files = files_of(model, task, to, facts, [inputs for _, inputs in samples])
    rows = check(model, task, OPENED_BY[to](files, path), samples)
    publish(files, path)
    return Report(path=path, size=sum(map(len, files.values())), facts=facts, rows=rows)


def files_of(
    model: DiffIRS2, task: Task, to: Target, facts: Facts, samples: Sequence[Inputs]
) -> dict[str, bytes]:
    """The contents by suffix, in the order of writing."""
    program = trace(model, task)
    if to == "torch":
        return {".pt2": to_torch(program, facts)}
    converted = to_onnx(program, inputs_of(task))
    if facts.precision == "int8":
        converted = to_int8(converted, samples)
    elif facts.precision == "float16" and to == "onnx":
        converted = to_float16(converted)
    content = with_facts(converted, facts)
    return {".onnx": content} if to == "onnx" else to_openvino(content, facts)


def licence_of(weights: Path) -> str:
    """The licence of a weights file: ours, if it is bundled."""
    return OWN_LICENCE if weights.parent == WEIGHTS else OTHERS_LICENCE


def require_consistent(path: Path, to: Target, precision: Precision, photos: Path | None) -> None:
    """Raise WeightsError for arguments that are unknown or contradict each other."""
    for found, known in ((to, get_args(Target)), (precision, get_args(Precision))):
        if found not in known:
            raise WeightsError(f"{found!r} found; wanted one of {', '.join(known)}")
    if path.suffix != SUFFIXES[to]:
        raise WeightsError(f"{path} does not end in {SUFFIXES[to]}, which {to} requires; rename it")
    if to == "torch" and precision != "float32":
        raise WeightsError(
            f"{precision} for torch found, which supports only float32; "
            "leave the precision out, or export to onnx or openvino"
        )
    if precision == "int8" and photos is None:
        raise WeightsError(
            "int8 without photos found; name a folder of pictures like those to be restored: "
            "--calibrate FOLDER"
        )
    if precision != "int8" and photos is not None:
        raise WeightsError(
            f"photos for {precision} found, which are used only for int8; leave them out"
        )


def publish(files: dict[str, bytes], path: Path) -> None:
    """Write the files, the named one last, so that it exists only with matching companions."""
    if len(files) > 1:
        path.unlink(missing_ok=True)
    for suffix, content in files.items():
        write_whole(content, path.with_suffix(suffix))
