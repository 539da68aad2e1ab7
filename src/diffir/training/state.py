"""What a run needs to go on, saved so that one whole state always exists; the newest ones stay."""

import io
import logging
import re
from pathlib import Path
from typing import Any

import torch

from diffir.errors import WeightsError
from diffir.files import write_whole

logger = logging.getLogger(__name__)

KEPT = 2  # the newest, and the one before, should the disk have broken the newest


class States:
    """The states of a phase in a run's folder, `states/<phase>-<step>.pt`.

    Processes that share a run each hold things of their own, which lie beside as `.rank1.pt` … and
    have to be written first.
    """

    def __init__(self, folder: Path, phase: str) -> None:
        self.folder, self.phase = folder / "states", phase

    def path(self, step: int, rank: int = 0) -> Path:
        """The file of a step."""
        return self.folder / f"{self.phase}-{step:08d}{f'.rank{rank}' if rank else ''}.pt"

    def save(self, state: dict[str, Any], step: int, rank: int = 0) -> None:
        """Write tensors, numbers and containers; a kill at any moment leaves old or new, whole."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_whole(buffer.getvalue(), self.path(step, rank))

    def of_rank(self, step: int, rank: int, device: torch.device) -> dict[str, Any] | None:
        """What a process saved of its own at a step, if it did; raises WeightsError as `newest`."""
        path = self.path(step, rank)
        return read_state(path, device) if path.exists() else None

    def steps(self) -> list[int]:
        """The steps at which there is a state, oldest first."""
        pattern = re.compile(rf"{re.escape(self.phase)}-(\d+)\.pt")
        found = (pattern.fullmatch(path.name) for path in self.folder.glob("*.pt"))
        return sorted(int(match[1]) for match in found if match)

    def rotate(self) -> None:
        """Remove all but the newest; of a phase that is done, too, for later ones begin with it."""
        for step in self.steps()[:-KEPT]:
            for path in self.folder.glob(f"{self.phase}-{step:08d}.*"):
                path.unlink()

    def newest(self, device: torch.device) -> dict[str, Any] | None:
        """The newest whole state, None where there is none.

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
                logger.warning("%s; going on from an older one", error)
        return None


def read_state(path: Path, device: torch.device) -> dict[str, Any]:
    """A saved state; raises WeightsError when the file is broken."""
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler met
        raise WeightsError(
            f"{path} is not a training state ({type(error).__name__}); "
            f"remove it to go on without it"
        ) from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path} is not a training state; remove it to go on without it")
    return state
