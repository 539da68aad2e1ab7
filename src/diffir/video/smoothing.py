"""One IPR follows another: an exponential moving average over time, begun anew at a cut."""

import base64
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from diffir.data.pixels import Pixels, to_pixels
from diffir.data.video import GRID, thumbnail

CUT = 0.12
"""Two frames whose thumbnails differ by more, of 1, are of two scenes."""


@dataclass(kw_only=True)
class Smoother:
    """The average IPR of the frames so far; see `begin` for what a frame does to it."""

    seconds: float
    """The time constant: how long it takes to forget all but a share of 1/e."""
    ipr: Tensor | None = None
    """(1, 4C') of the last frame, None before the first."""
    before: Tensor | None = None
    """What the average was when the frame under way began."""
    glance: Pixels | None = None
    """The thumbnail of the last frame."""
    weight: float = field(default=1.0, init=False)

    def begin(self, frame: Tensor, passed: float) -> None:
        """A frame, (1, 3, H, W) in [0, 1], `passed` seconds after the last one, is to be restored.

        Z̄ ← Z̄ + (1 − exp(−passed / seconds)) (Z − Z̄), and Z̄ ← Z for the first frame of a scene.
        """
        now = thumbnail(to_pixels(frame))
        cut = self.glance is None or differ(now, self.glance)
        self.before = None if cut else self.ipr
        self.weight = 1 - math.exp(-passed / self.seconds)
        self.glance = now

    def __call__(self, ipr: Tensor) -> Tensor:
        """The IPR to restore with, (1, 4C'); called twice for a frame, the second call counts."""
        if self.before is None:
            smooth = ipr.float()
        else:
            before = self.before.to(ipr.device)
            smooth = before + self.weight * (ipr.float() - before)
        self.ipr = smooth.cpu()
        return smooth.to(ipr.dtype)

    def state(self) -> dict[str, str]:
        """What the next frame needs to know, exactly, for JSON."""
        if self.ipr is None or self.glance is None:
            return {}
        ipr = self.ipr.numpy().astype("<f4").tobytes()
        return {"ipr": text(ipr), "glance": text(self.glance.tobytes())}

    def restore(self, state: dict[str, str], like: int) -> None:
        """Go on from a state; `like` is the length of an IPR."""
        if state:
            ipr = np.frombuffer(base64.b64decode(state["ipr"]), "<f4").reshape(1, like)
            self.ipr = torch.from_numpy(ipr.astype(np.float32))
            glance = np.frombuffer(base64.b64decode(state["glance"]), np.uint8)
            self.glance = glance.reshape(*reversed(GRID), 3)


def text(data: bytes) -> str:
    """Bytes as ASCII."""
    return base64.b64encode(data).decode()


def differ(now: Pixels, before: Pixels) -> bool:
    """Whether two thumbnails are of two scenes."""
    return bool(np.abs(np.subtract(now, before, dtype=float)).mean() / 255 > CUT)
