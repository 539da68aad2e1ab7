"""What a run needs to go on, saved so that one whole state always exists."""

import io
from pathlib import Path
from typing import Any

import torch

from diffir.errors import WeightsError
from diffir.files import write_whole


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write tensors, numbers and containers; a kill at any moment leaves old or new, whole."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(buffer.getvalue(), path)


def load_state(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The saved state, None where there is none.

    Raises:
        WeightsError: when the file is broken.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler met
        raise WeightsError(
            f"{path} is not a training state ({type(error).__name__}); "
            f"remove it to start this phase anew"
        ) from error
    return state
