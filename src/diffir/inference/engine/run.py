"""`restore`: the output of the plain network, computed in stripes within a memory limit."""

from collections.abc import Callable
from threading import Event

import torch
from torch import Tensor

from diffir.inference.devices import is_out_of_memory
from diffir.model import DiffIRS2

from .choice import kernels_for
from .heap import keep_freed_blocks
from .network import restore_picture
from .plan import Plan, plan_for, too_little
from .tools import Tools, Watch
from .work import picture_work


@torch.inference_mode()
def restore(
    model: DiffIRS2,
    lq: Tensor,
    noise: Tensor,
    *,
    step_noise: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    budget: int | None = None,
    progress: Callable[[float], None] | None = None,
    stop: Event | None = None,
    ipr_filter: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Restore pictures of equal size, one after another; equals `model(lq, noise)`.

    Args:
        model: the network, in float32.
        lq: (B, in_channels, H, W) in [0, 1]; H and W are multiples of `model.config.multiple_of`.
        noise: (B, 4C').
        step_noise: (T, B, 4C'), only for a chain with inserted variance.
        dtype: of the products; maps and sums over pixels stay in float32. In float32 the result is
            within 1e-5 of the plain network; bfloat16 is faster where the processor has it.
        budget: memory limit in bytes, without LQ; None for no limit. On a CPU it does not change
            the result; on GPUs this was not tested.
        progress: called with the share done, from 0 to 1, after every stripe; restarts at 0 if
            memory runs out.
        stop: set it, from another thread or in `progress`, to end the run early.
        ipr_filter: maps the IPR of each picture, (1, 4C'), to the one to restore it with; may be
            called more than once per picture.

    Returns:
        (B, 3, H·scale, W·scale) float32, not clamped.

    Raises:
        DeviceError: when the budget or the memory does not suffice.
        StoppedError: when `stop` was set.
    """
    batch, _, height, width = lq.shape
    plan: Plan | None = plan_for(
        model.config, batch, height, width, budget, dtype.itemsize, lq.is_cuda
    )
    watch = Watch(total=batch * picture_work(model, height, width), progress=progress, stop=stop)
    while plan is not None:
        restored = attempt(model, lq.float(), noise, step_noise, plan, dtype, watch, ipr_filter)
        if restored is not None:
            return restored
        lowest, plan = plan, plan.halved()
    raise too_little(lowest)


def attempt(
    model: DiffIRS2,
    lq: Tensor,
    noise: Tensor,
    step_noise: Tensor | None,
    plan: Plan,
    dtype: torch.dtype,
    watch: Watch,
    ipr_filter: Callable[[Tensor], Tensor] | None,
) -> Tensor | None:
    """Restore as planned; None when memory ran out, after freeing everything."""
    config = model.config
    keep_freed_blocks()
    tools = Tools(
        kernels=kernels_for(dtype, lq.device),
        fine=kernels_for(torch.float32, lq.device),
        watch=watch,
        device=lq.device,
    )
    watch.done = 0.0
    try:
        restored = lq.new_empty(len(lq), 3, plan.height * config.scale, plan.width * config.scale)
        for index, picture in enumerate(lq):
            start = noise[index : index + 1]
            steps = None if step_noise is None else step_noise[:, index : index + 1]
            restore_picture(model, picture, start, steps, restored[index], plan, tools, ipr_filter)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None
    return restored
