"""The network over a batch of LQ: by the engine, or plainly where that is the faster way."""

import logging
from collections.abc import Callable
from functools import partial
from threading import Event

import torch
from torch import Tensor

from diffir.errors import StoppedError
from diffir.model import DiffIRConfig, DiffIRS2

from .devices import is_out_of_memory
from .engine import default_budget, plan_for, restore

logger = logging.getLogger(__name__)

SMALL = 40_000
"""Numbers of level 1 up to which a CPU, too, is faster with whole maps: there folding and packing
the weights, picture by picture, costs more than stripes spare."""
TOGETHER = 160_000
"""The same of all pictures that are faster together than one after another:
`python benchmarks/speed.py deblur sr-x4-lite --side 24 --batch 4`."""


def run_network(
    model: DiffIRS2,
    lq: Tensor,
    noise: Tensor,
    *,
    dtype: torch.dtype = torch.float32,
    budget: int | None = None,
    progress: Callable[[float], None] | None = None,
    stop: Event | None = None,
    ipr_filter: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Diffusion to the IPR, then the transformer.

    Args:
        model: the network, in float32.
        lq: (B, in_channels, H, W), H and W dividing by `model.config.multiple_of`.
        noise: (1, B, 4C'); (1 + T, B, 4C') for a chain with inserted variance.
        dtype: of the products.
        budget: bytes that may be taken; None: what is free, with a margin.
        progress: told the share done, from 0 to 1.
        stop: set it to end early.
        ipr_filter: given the IPR of each picture, (1, 4C'), gives the one to restore it with; may
            be asked more than once for a picture.

    Returns:
        (B, 3, H·scale, W·scale) float32, not clamped.

    Raises:
        DeviceError: when the budget or the memory does not suffice.
        StoppedError: when `stop` was set.
    """
    start, steps = noise[0], noise[1:] if len(noise) > 1 else None
    if budget is None and not prefers_stripes(lq.device):
        restored = run_plainly(model, lq, start, steps, dtype, stop, ipr_filter)
        if restored is not None:
            return restored
        logger.info("memory does not suffice for the plain network; going on in stripes")
    if budget is None:
        budget = default_budget(lq.device)
    batch, _, height, width = lq.shape
    plan = plan_for(model.config, batch, height, width, budget, dtype.itemsize, lq.is_cuda)
    numbers = level_one_numbers(model.config, height, width)
    if lq.device.type == "cpu" and numbers <= SMALL:
        logger.info("%s", plan.describe(whole=True))
        # float32 whatever was asked: there it is faster than bfloat16, and less than was planned
        run = partial(run_plainly, model, dtype=torch.float32, stop=stop, ipr_filter=ipr_filter)
        return run_small(run, lq, start, steps, TOGETHER // numbers, progress)
    logger.info("%s", plan.describe())
    return restore(
        model,
        lq,
        start,
        step_noise=steps,
        dtype=dtype,
        budget=budget,
        progress=progress,
        stop=stop,
        ipr_filter=ipr_filter,
    )


def prefers_stripes(device: torch.device) -> bool:
    """Whether stripes are faster there, and not only smaller: measured on CPUs alone."""
    return device.type == "cpu"


def level_one_numbers(config: DiffIRConfig, height: int, width: int) -> int:
    """Of one picture's map at the first level."""
    return config.dim * height * width // config.unshuffle**2


def run_small(
    run: Callable[..., Tensor | None],
    lq: Tensor,
    start: Tensor,
    steps: Tensor | None,
    at_once: int,
    progress: Callable[[float], None] | None,
) -> Tensor:
    """Run whole maps over so many pictures at once; arguments as in `run_plainly`."""
    parts = []
    for first in range(0, len(lq), at_once):
        some = slice(first, first + at_once)
        part = run(lq[some], start[some], None if steps is None else steps[:, some])
        if part is None:
            raise MemoryError
        parts.append(part)
        if progress is not None:
            progress(min(first + at_once, len(lq)) / len(lq))
    return torch.cat(parts)


def run_plainly(
    model: DiffIRS2,
    lq: Tensor,
    start: Tensor,
    steps: Tensor | None,
    dtype: torch.dtype,
    stop: Event | None,
    ipr_filter: Callable[[Tensor], Tensor] | None = None,
) -> Tensor | None:
    """All maps whole, which a GPU does faster than stripes; None when memory ran out."""
    if stop is not None and stop.is_set():
        raise StoppedError("stopped before the picture was begun; start it again")
    lq = lq.contiguous(memory_format=torch.channels_last)
    try:
        with torch.autocast(lq.device.type, dtype, enabled=dtype != torch.float32):
            ipr = model.estimate_ipr(lq, start, steps)
            if ipr_filter is not None:
                ipr = torch.cat([ipr_filter(ipr[i : i + 1]) for i in range(len(ipr))])
            return model.dirformer(lq, ipr).float()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None
