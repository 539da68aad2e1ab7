"""torch.export: the traced program as a .pt2 file, which torch runs without our code."""

import io
import json

import torch
from torch.export import ExportedProgram

from .facts import Facts

EXTRA = "diffir.json"
"""The name of our metadata among the file's extra files."""


def to_torch(program: ExportedProgram, facts: Facts) -> bytes:
    """The file of a program that says what it is."""
    file = io.BytesIO()
    extra = {EXTRA: json.dumps(facts.as_metadata())}
    torch.export.save(program, file, extra_files=extra)
    return file.getvalue()
