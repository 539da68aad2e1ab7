"""OpenVINO: the ONNX model as its two files, the graph (.xml) and the weights (.bin)."""

import io
import tempfile
from pathlib import Path

from .facts import Facts
from .libraries import library

SECTION = "diffir"
"""The section of the runtime information that holds our metadata."""


def to_openvino(onnx: bytes, facts: Facts) -> dict[str, bytes]:
    """The files by suffix, weights first; float16 halves only the weights.

    OpenVINO chooses the precision of computation when it loads the model. Its `convert_model`,
    which sends telemetry, is not used.
    """
    openvino = library("openvino")
    model = openvino.Core().read_model(io.BytesIO(onnx))
    for name, value in facts.as_metadata().items():
        model.set_rt_info(value, [SECTION, name])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.xml")
        openvino.save_model(model, path, compress_to_fp16=facts.precision == "float16")
        return {suffix: path.with_suffix(suffix).read_bytes() for suffix in (".bin", ".xml")}
