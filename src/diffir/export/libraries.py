"""The optional libraries of exports and backends, imported when needed."""

import importlib
from typing import Any

from diffir.libraries import needed


def library(name: str) -> Any:
    """Import a module; raises MissingLibraryError if its package is not installed."""
    with needed("openvino" if name == "openvino" else "export", "this format"):
        return importlib.import_module(name)
