"""torch.export: the traced program as a .pt2 file, which runs without our code."""

import io
import json

import torch
from torch.export import ExportedProgram

from .facts import Facts

EXTRA = "diffir.json"
"""The name of our metadata among the extra files."""


def to_torch(program: ExportedProgram, facts: Facts) -> bytes:
    """The serialised program with our metadata."""
    file = io.BytesIO()
    extra = {EXTRA: json.dumps(facts.as_metadata())}
    torch.export.save(program, file, extra_files=extra)
    return file.getvalue()
