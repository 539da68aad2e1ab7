"""Temporal smoothing of the IPR: an exponential moving average over time, reset at a cut."""

import base64
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from diffir.data.pixels import Pixels, to_pixels
from diffir.data.video import CUT, GRID, thumbnail, thumbnail_difference


@dataclass(kw_only=True)
class Smoother:
    """The average IPR of the frames so far; `begin` says how a frame changes it."""

    seconds: float
    """The time constant: after this time, the weight of the past is 1/e."""
    ipr: Tensor | None = None
    """(1, 4C') of the last frame; None before the first."""
    before: Tensor | None = None
    """The average before the current frame; None at the start of a scene."""
    glance: Pixels | None = None
    """The thumbnail of the last frame."""
    weight: float = field(default=1.0, init=False)

    def begin(self, frame: Tensor, passed: float) -> None:
        """Start a frame, (1, 3, H, W) in [0, 1], `passed` seconds after the last one.

        Z̄ ← Z̄ + (1 − exp(−passed / seconds)) (Z − Z̄), and Z̄ ← Z for the first frame of a scene.
        """
        now = thumbnail(to_pixels(frame))
        cut = self.glance is None or thumbnail_difference(now, self.glance) > CUT
        self.before = None if cut else self.ipr
        self.weight = 1 - math.exp(-passed / self.seconds)
        self.glance = now

    def __call__(self, ipr: Tensor) -> Tensor:
        """The smoothed IPR, (1, 4C'); if called twice for a frame, the second call counts."""
        if self.before is None:
            smooth = ipr.float()
        else:
            before = self.before.to(ipr.device)
            smooth = before + self.weight * (ipr.float() - before)
        self.ipr = smooth.cpu()
        return smooth.to(ipr.dtype)

    def state(self) -> dict[str, str]:
        """The exact state that the next frame needs, for JSON."""
        if self.ipr is None or self.glance is None:
            return {}
        ipr = self.ipr.numpy().astype("<f4").tobytes()
        return {"ipr": text(ipr), "glance": text(self.glance.tobytes())}

    def restore(self, state: dict[str, str], length: int) -> None:
        """Continue from a state; `length` is that of an IPR."""
        if state:
            ipr = np.frombuffer(base64.b64decode(state["ipr"]), "<f4").reshape(1, length)
            self.ipr = torch.from_numpy(ipr.astype(np.float32))
            glance = np.frombuffer(base64.b64decode(state["glance"]), np.uint8)
            self.glance = glance.reshape(*reversed(GRID), 3)


def text(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode()
