"""Toy networks, exported once for all tests and workers: making one takes ten seconds."""

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from official import network, toy

from diffir.checkpoints import Checkpoint, format
from diffir.export import SUFFIXES, Target, export
from diffir.presets import PRESETS

SMALL = {"num_blocks": (1, 0, 0, 1), "num_refinement_blocks": 0, "cpen_blocks": 1}
"""Attention at the finest and at the coarsest level, and no more."""


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of the run see."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if own.name.startswith("popen-") else own) / "exported"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def weights(shared: Path) -> Callable[[str], Path]:
    """The file of weights of a toy."""

    def make(name: str) -> Path:
        path = shared / f"{name}.safetensors"
        with FileLock(shared / "weights.lock"):
            if not path.exists():
                model = network(2, toy(name, **SMALL))
                format.save(Checkpoint(model=model, task=PRESETS[name].task.name), path)
        return path

    return make


@pytest.fixture(scope="session")
def exported(shared: Path, weights: Callable[[str], Path]) -> Callable[[str, Target], Path]:
    """The exported file of a toy in float32."""

    def make(name: str, to: Target) -> Path:
        path = shared / f"{name}{SUFFIXES[to]}"
        with FileLock(shared / f"{path.name}.lock"):
            if not path.exists():
                export(weights(name), path, to)
        return path

    return make
