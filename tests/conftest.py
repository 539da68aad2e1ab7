"""The processes that tests start see the packages that users have."""

import os
from pathlib import Path

import pytest

HIDDEN = Path(__file__).parent / "hidden"


def pytest_configure(config: pytest.Config) -> None:
    """Hide what is only there to compare with, but not from the tests themselves."""
    starts_workers = bool(config.getoption("numprocesses", None))
    if not starts_workers or hasattr(config, "workerinput"):
        inherited = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(HIDDEN), *filter(None, [inherited])])
