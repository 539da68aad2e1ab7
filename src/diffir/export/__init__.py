"""Networks for other programs: ONNX, OpenVINO and torch.export, and restoring by them."""

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
