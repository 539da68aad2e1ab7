"""Networks exported to ONNX, OpenVINO and torch.export, and restoring with such files."""

from .backend import ExportedRestorer
from .facts import Facts, Precision
from .make import SUFFIXES, Report, Target, export
from .runners import Backend, is_exported, open_file

__all__ = [
    "SUFFIXES",
    "Backend",
    "ExportedRestorer",
    "Facts",
    "Precision",
    "Report",
    "Target",
    "export",
    "is_exported",
    "open_file",
]
