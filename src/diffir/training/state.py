"""The saved states of a run: one complete state always exists, and the newest are kept."""

import io
import logging
import re
from pathlib import Path
from typing import Any

import torch

from diffir.errors import WeightsError
from diffir.files import write_whole

logger = logging.getLogger(__name__)

KEPT = 2  # the newest, and the one before in case the newest is damaged


class States:
    """The states of a phase in a run's folder, `states/<phase>-<step>.pt`.

    The own state of further processes is beside it, as `.rank1.pt` …, and has to be written first.
    """

    def __init__(self, folder: Path, phase: str) -> None:
        self.folder, self.phase = folder / "states", phase

    def path(self, step: int, rank: int = 0) -> Path:
        """The file of a step."""
        return self.folder / f"{self.phase}-{step:08d}{f'.rank{rank}' if rank else ''}.pt"

    def save(self, state: dict[str, Any], step: int, rank: int = 0) -> None:
        """Write tensors, numbers and containers, atomically."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_whole(buffer.getvalue(), self.path(step, rank))

    def of_rank(self, step: int, rank: int, device: torch.device) -> dict[str, Any] | None:
        """A process's own state at a step, if it saved one; raises WeightsError as `newest`."""
        path = self.path(step, rank)
        return read_state(path, device) if path.exists() else None

    def steps(self) -> list[int]:
        """The steps of all states, oldest first."""
        pattern = re.compile(rf"{re.escape(self.phase)}-(\d+)\.pt")
        found = (pattern.fullmatch(path.name) for path in self.folder.glob("*.pt"))
        return sorted(int(match[1]) for match in found if match)

    def rotate(self) -> None:
        """Remove all but the newest, which stay after the phase: later ones start from them."""
        for step in self.steps()[:-KEPT]:
            for path in self.folder.glob(f"{self.phase}-{step:08d}.*"):
                path.unlink()

    def newest(self, device: torch.device) -> dict[str, Any] | None:
        """The newest state that is not broken, None where there is none.

        Raises:
            WeightsError: when there are states and all are broken.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                return read_state(self.path(step), device)
            except WeightsError as error:
                if step == steps[0]:
                    raise
                logger.warning("%s; resuming from an older one", error)
        return None


def read_state(path: Path, device: torch.device) -> dict[str, Any]:
    """A saved state; raises WeightsError when the file is broken."""
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch's unpickler raises errors of any kind
        raise WeightsError(
            f"{path} is not a training state ({type(error).__name__}); remove it to resume without "
            f"it"
        ) from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path} is not a training state; remove it to resume without it")
    return state
