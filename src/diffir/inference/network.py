"""Run the network on a batch of LQ: by the engine, or with whole maps where that is faster."""

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
"""Elements of level 1 up to which whole maps are faster on CPUs, too: for small pictures, folding
and packing the weights for each costs more than stripes save."""
TOGETHER = 160_000
"""Elements of level 1 of all pictures that are faster together than one after another:
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
    """Diffusion to the IPR, then the transformer; see `engine.restore` for arguments and result.

    Only here, `noise` is (1, B, 4C'), or (1 + T, B, 4C') for a chain with inserted variance, and a
    `budget` of None means the free memory, with a margin.
    """
    start, steps = noise[0], noise[1:] if len(noise) > 1 else None
    if budget is None and not prefers_stripes(lq.device):
        restored = run_plainly(model, lq, start, steps, dtype, stop, ipr_filter)
        if restored is not None:
            return restored
        logger.info("not enough memory for whole maps; continuing in stripes")
    if budget is None:
        budget = default_budget(lq.device)
    batch, _, height, width = lq.shape
    plan = plan_for(model.config, batch, height, width, budget, dtype.itemsize, lq.is_cuda)
    numbers = level_one_numbers(model.config, height, width)
    if lq.device.type == "cpu" and numbers <= SMALL:
        logger.info("%s", plan.describe(whole=True))
        # always float32, which is faster than bfloat16 here and needs less memory than planned
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


def noise_of(seed: int, ipr_dim: int, steps: int = 0) -> Tensor:
    """All random numbers of one picture, float32 on the CPU so that devices agree.

    (1, 4C'), the start of the diffusion; (1 + steps, 4C') for a chain with inserted variance.
    """
    cpu = torch.device("cpu")
    generator = torch.Generator(cpu).manual_seed(seed)
    return torch.randn(1 + steps, ipr_dim, generator=generator, dtype=torch.float32, device=cpu)


def prefers_stripes(device: torch.device) -> bool:
    """Whether stripes are faster on a device, and not only smaller; measured only on CPUs."""
    return device.type == "cpu"


def level_one_numbers(config: DiffIRConfig, height: int, width: int) -> int:
    """Elements of one picture's map at level 1."""
    return config.dim * height * width // config.unshuffle**2


def run_small(
    run: Callable[..., Tensor | None],
    lq: Tensor,
    start: Tensor,
    steps: Tensor | None,
    at_once: int,
    progress: Callable[[float], None] | None,
) -> Tensor:
    """Run whole maps for `at_once` pictures at a time; arguments as in `run_plainly`."""
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
    """Run with whole maps, which is faster on GPUs; None when memory ran out."""
    if stop is not None and stop.is_set():
        raise StoppedError("stopped before the picture was started; start it again")
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
