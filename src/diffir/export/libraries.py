"""The optional libraries of exports and backends, imported when they are needed."""

import importlib
from typing import Any

from diffir.errors import DeviceError


def library(name: str) -> Any:
    """The module of a name; raises DeviceError where its package is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        extra = "openvino" if package == "openvino" else "export"
        raise DeviceError(
            f"{package} is not installed, or does not work here ({error}); "
            f"run pip install 'diffir[{extra}]'"
        ) from error
