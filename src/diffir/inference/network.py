"""The network over a batch of LQ: by the engine, or plainly where that is the faster way."""

import logging
from collections.abc import Callable
from threading import Event

import torch
from torch import Tensor

from diffir.errors import StoppedError
from diffir.model import DiffIRS2

from .devices import is_out_of_memory
from .engine import default_budget, plan_for, restore

logger = logging.getLogger(__name__)


def run_network(
    model: DiffIRS2,
    lq: Tensor,
    noise: Tensor,
    *,
    dtype: torch.dtype = torch.float32,
    budget: int | None = None,
    progress: Callable[[float], None] | None = None,
    stop: Event | None = None,
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

    Returns:
        (B, 3, H·scale, W·scale) float32, not clamped.

    Raises:
        DeviceError: when the budget or the memory does not suffice.
        StoppedError: when `stop` was set.
    """
    start, steps = noise[0], noise[1:] if len(noise) > 1 else None
    if budget is None and not prefers_stripes(lq.device):
        restored = run_plainly(model, lq, start, steps, dtype, stop)
        if restored is not None:
            return restored
        logger.info("memory does not suffice for the plain network; going on in stripes")
    if budget is None:
        budget = default_budget(lq.device)
    batch, _, height, width = lq.shape
    plan = plan_for(model.config, batch, height, width, budget, dtype.itemsize, lq.is_cuda)
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
    )


def prefers_stripes(device: torch.device) -> bool:
    """Whether stripes are faster there, and not only smaller: measured on CPUs alone."""
    return device.type == "cpu"


def run_plainly(
    model: DiffIRS2,
    lq: Tensor,
    start: Tensor,
    steps: Tensor | None,
    dtype: torch.dtype,
    stop: Event | None,
) -> Tensor | None:
    """All maps whole, which a GPU does faster than stripes; None when memory ran out."""
    if stop is not None and stop.is_set():
        raise StoppedError("stopped before the picture was begun; start it again")
    lq = lq.contiguous(memory_format=torch.channels_last)
    try:
        with torch.autocast(lq.device.type, dtype, enabled=dtype != torch.float32):
            return model.dirformer(lq, model.estimate_ipr(lq, start, steps)).float()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None
