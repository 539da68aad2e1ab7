"""What all steps of a run share: kernels, reusable scratch memory, and the watch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event

import torch
from torch import Tensor

from diffir.errors import StoppedError

from .kernels import Kernels
from .stripes import Grid, LineBuffer


@dataclass(kw_only=True)
class Watch:
    """The progress of a run, and whether it should stop."""

    total: float
    """Multiply-adds of the whole run."""
    progress: Callable[[float], None] | None = None
    stop: Event | None = None
    done: float = 0.0

    def tick(self, work: float) -> None:
        """Count multiply-adds and report the share done; raises StoppedError if `stop` is set."""
        if self.stop is not None and self.stop.is_set():
            raise StoppedError("the run was stopped before the picture was done; start it again")
        self.done += work
        if self.progress is not None:
            self.progress(min(self.done / self.total, 1.0))


@dataclass(frozen=True, kw_only=True)
class Tools:
    """Kernels, scratch memory and watch of one run."""

    kernels: Kernels
    fine: Kernels
    """Kernels in float32, for the layers next to the pictures, where rounding would be visible."""
    watch: Watch
    device: torch.device
    scratch: dict[str, Tensor] = field(default_factory=dict)

    def memory(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Uninitialised memory by name; the next call with the name returns the same.

        All sweeps share few names, so that the memory stays small and in the cache: first, second
        and third for data that must last through a sweep, the others for one stripe.
        """
        dtype = dtype or self.kernels.dtype
        key, size = f"{name} {dtype}", math.prod(shape)
        flat = self.scratch.get(key)
        if flat is None or len(flat) < size:
            self.scratch.pop(key, None)
            flat = self.scratch[key] = torch.empty(size, dtype=dtype, device=self.device)
        return flat[:size].view(shape)

    def line(self, name: str, rows: int, width: int, channels: int) -> LineBuffer:
        """A line buffer for stripes of up to `rows` rows."""
        return LineBuffer(self.memory(name, rows + 3, width, channels))

    def stripes(self, grid: Grid, work: float) -> Iterator[tuple[int, int]]:
        """The spans of a grid, counting `work` multiply-adds per pixel as each is done."""
        for start, stop in grid.spans():
            yield start, stop
            self.watch.tick(work * (stop - start) * grid.width)
