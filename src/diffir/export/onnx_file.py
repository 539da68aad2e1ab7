"""ONNX: the traced graph as a model, in single or half precision or with 8-bit convolutions."""

import contextlib
import logging
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram

from .facts import Facts
from .graph import OUTPUT
from .libraries import library

if TYPE_CHECKING:
    from onnx import ModelProto

Inputs = dict[str, NDArray[np.float32]]
"""Arrays by the names of the graph's inputs."""

# Sums over pixels or channels and pixel counts stay in float32: half precision overflows at 65,504
# and counts only to 2,048.
KEPT_IN_FLOAT32 = [
    *("Clip", "Div", "MatMul", "Range", "Reciprocal", "ReduceL2", "ReduceMean", "Resize"),
    *("Softmax", "Sqrt"),
]


def to_onnx(program: ExportedProgram, names: Sequence[str]) -> "ModelProto":
    """The model of a traced graph in float32, without metadata; `names` are its inputs."""
    library("onnxscript")
    with quiet():
        converted = torch.onnx.export(
            program, dynamo=True, verbose=False, input_names=names, output_names=[OUTPUT]
        )
    if converted is None:
        raise RuntimeError("torch.onnx.export gave nothing")
    model: ModelProto = converted.model_proto
    graph = model.graph
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")  # contains paths of this machine
    name_sizes(model)
    return model


def name_sizes(model: "ModelProto") -> None:
    """Give the dynamic sizes readable names; torch names them like s73."""
    graph = model.graph
    sizes = [size.dim_param for size in graph.input[0].type.tensor_type.shape.dim]
    names = dict(zip(sizes, ("batch", "", "height", "width"), strict=True))
    for value in (*graph.input, *graph.output, *graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:  # may be a formula: 4*s73
                size.dim_param = re.sub(
                    r"\w+", lambda word: names.get(word[0], word[0]), size.dim_param
                )


def with_facts(model: "ModelProto", facts: Facts) -> bytes:
    """The serialised model with our metadata."""
    helper = library("onnx.helper")
    helper.set_model_props(model, facts.as_metadata())
    model.producer_name, model.producer_version = "diffir", facts.diffir
    return model.SerializeToString()


def to_float16(model: "ModelProto") -> "ModelProto":
    """Weights and most operations in half precision; inputs and outputs stay float32."""
    float16 = library("onnxruntime.transformers.float16")
    with quiet():
        return float16.convert_float_to_float16(
            model, keep_io_types=True, op_block_list=KEPT_IN_FLOAT32
        )


def to_int8(model: "ModelProto", samples: Sequence[Inputs]) -> "ModelProto":
    """Convolutions with 8-bit weights, one scale per channel, and 8-bit inputs (static QDQ).

    `samples` calibrate the range of each convolution's input.
    """
    quantization = library("onnxruntime.quantization")
    onnx = library("onnx")

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
        """Returns the samples one after another, then None."""

        remaining = iter(samples)

        def get_next(self) -> Inputs | None:
            return next(self.remaining, None)

    with tempfile.TemporaryDirectory() as folder, quiet():
        source, target = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, source)
        quantization.quantize_static(
            source,
            target,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(target)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress the exporters' logs and warnings, which users cannot act on."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
