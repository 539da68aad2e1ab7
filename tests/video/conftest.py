"""Toy networks in files, made once."""

from importlib.metadata import PackageNotFoundError, version

import pytest
import torch
from official import network, toy

from diffir.checkpoints import Checkpoint, format

try:
    HAS_PYAV = int(version("av").partition(".")[0]) >= 18
except PackageNotFoundError:
    HAS_PYAV = False
collect_ignore_glob = [] if HAS_PYAV else ["test_*.py"]  # there is none for Python 3.10


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of toy networks, by preset."""
    folder = tmp_path_factory.mktemp("weights")
    files = {}
    for preset, task in {"deblur": "deblur", "sr-x2": "sr", "inpaint": "inpaint"}.items():
        path = folder / f"{preset}.safetensors"
        model = network(2, toy(preset))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "modulation" in name:
                    parameter *= 20  # an untrained IPR says too little to be seen in 8 bits
        format.save(Checkpoint(model=model, task=task), path)
        files[preset] = str(path)
    return files
