"""The optional libraries of exports and backends, imported when they are needed."""

import importlib
from typing import Any

from diffir.libraries import needed


def library(name: str) -> Any:
    """The module of a name; raises MissingLibraryError where its package is not installed."""
    with needed("openvino" if name == "openvino" else "export", "this format"):
        return importlib.import_module(name)
