"""Evaluate: methods over pictures, a row for each of both, in one process or in several."""

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.queues import SimpleQueue
from threading import Thread

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diffir.data.degradations import MakesPairs
from diffir.data.pixels import round_to_8_bit
from diffir.errors import DataError, DeviceError, DiffIRError
from diffir.inference.devices import is_out_of_memory, pick_device
from diffir.inference.workers import end_with_parent, held_back, let_through, noted

from .cases import Pair, read_pair
from .crops import View, view
from .fid import FID, resized
from .layouts import Case
from .methods import Method, Restore, opened
from .metrics import METRICS, Score, open_metrics
from .psnr_ssim import without_border


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is judged, on what and how; it travels to other processes."""

    methods: tuple[Method, ...]
    cases: tuple[Case, ...]
    metrics: tuple[str, ...]
    """Keys of `METRICS` whose files are here."""
    border: int = 0
    """Pixels left out on every side of PSNR and SSIM; all other metrics see the whole picture."""
    scale: int = 1
    degradation: MakesPairs | None = None
    """How LQ is made where a case has none; None where nothing needs it."""
    seed: int = 0
    """Of that LQ, and of the noise that networks start from."""
    device: str = "auto"
    crop: bool = False
    """Whether pictures of other sizes than GT are compared where they overlap, at the top left."""
    views: bool = False
    """Whether crops are kept to look at."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one method made of one picture."""

    picture: str
    method: str
    scores: Mapping[str, float] = field(default_factory=dict)
    """By metric; empty where there is an error."""
    seconds: float | None = None
    """Wall clock to restore it, reading left out; None for pictures that somebody else made."""
    error: str = ""
    """Why there are no scores."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """All that is found out about one picture."""

    rows: tuple[Row, ...]
    view: View | None = None
    features: Mapping[str | None, NDArray[np.float32]] = field(default_factory=dict)
    """(1, D) by method, and of GT by None, for the metrics of whole sets."""


Judge = Callable[[int], Judged]
"""Of a case's place in the plan."""


LOOK_SECONDS = 0.1
"""Between two looks at whether somebody pressed Ctrl-C."""


def evaluate(plan: Plan, *, jobs: int = 1, threads: int | None = None) -> Iterator[Judged]:
    """Judge picture after picture, in the order of the plan; a broken one is a row that says so.

    Args:
        plan: what to do.
        jobs: processes, each of which loads every method, on the devices of `devices_of`.
        threads: of torch in each process; None: one where there are several processes.

    Raises:
        WeightsError, DeviceError: when a method can't be loaded.
        DeviceError: when a process dies.
    """
    if jobs == 1:
        if threads:
            torch.set_num_threads(threads)
        yield from map(judge_of(plan), range(len(plan.cases)))
        return
    # Spawned, for torch's threads and CUDA do not survive a fork.
    context = multiprocessing.get_context("spawn")
    devices = context.SimpleQueue()  # of which each process takes one
    for device in devices_of(plan.device, jobs):
        devices.put(device)
    pool = ProcessPoolExecutor(jobs, context, prepare_process, (plan, threads or 1, devices))
    try:
        with noted() as interruptions:  # raised at once, they may leave the pool's locks taken
            with held_back():
                judged = deque(pool.submit(judge_here, index) for index in range(len(plan.cases)))
            while judged:
                one = judged.popleft()  # for a result that is handed on is kept no longer
                while not one.done() and not interruptions:
                    wait([one], timeout=LOOK_SECONDS)
                if interruptions:
                    break
                yield one.result()
    except BrokenProcessPool as error:
        raise DeviceError(
            "a process was killed, most likely for lack of memory; give fewer --jobs"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def jobs_for(device: str) -> int:
    """As many processes as there are GPUs, where any of them may be taken; else one."""
    return max(1, torch.cuda.device_count()) if device in ("auto", "cuda") else 1


def devices_of(device: str, jobs: int) -> list[str]:
    """A device for each process: GPUs in turn, where any of them may be taken."""
    count = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    return [f"cuda:{job % count}" if count else device for job in range(jobs)]


_here: list[Judge] = []  # the judge of this process, which arguments of a pool can't carry


def prepare_process(plan: Plan, threads: int, devices: "SimpleQueue[str]") -> None:
    """Load everything, once a process; it ends with its parent, and Ctrl-C is that one's matter."""
    Thread(target=end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    let_through()
    torch.set_num_threads(threads)
    _here.append(judge_of(replace(plan, device=devices.get())))


def judge_here(index: int) -> Judged:
    """Judge a picture in a process that is prepared."""
    return _here[0](index)


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What a plan names, loaded."""

    plan: Plan
    restorers: Mapping[str, Restore]
    of_each: Mapping[str, Score]
    of_sets: Mapping[str, Score]


def tools_of(plan: Plan) -> Tools:
    """Load methods and metrics; raises as `opened`."""
    scores, _ = open_metrics(plan.metrics, device=pick_device(plan.device))
    return Tools(
        plan=plan,
        restorers={
            method.name: opened(method, scale=plan.scale, device=plan.device, seed=plan.seed)
            for method in plan.methods
        },
        of_each={name: score for name, score in scores.items() if not METRICS[name].of_sets},
        of_sets={name: score for name, score in scores.items() if METRICS[name].of_sets},
    )


def judge_of(plan: Plan) -> Judge:
    """A function that judges pictures of the plan; raises as `opened`."""
    return partial(judged, tools_of(plan))


@torch.no_grad()
def judged(tools: Tools, index: int) -> Judged:
    """Every method on one picture."""
    plan, case = tools.plan, tools.plan.cases[index]
    try:
        pair = read_pair(
            case, index, degradation=plan.degradation, scale=plan.scale, seed=plan.seed
        )
        features: dict[str | None, NDArray[np.float32]] = features_of({None: pair.gt}, tools)
    except NO_SCORE as error:
        return Judged(rows=tuple(broken(case, name, error) for name in tools.restorers))
    rows, pictures = [], dict[str, Tensor]()
    for name in tools.restorers:
        try:
            row, restored = row_of(name, case, pair, tools)
            features |= features_of({name: restored}, tools) if features else {}
            pictures[name] = restored
        except NO_SCORE as error:
            row = broken(case, name, error)
        rows.append(row)
    looked_at = view(case.name, pair, pictures) if plan.views and pictures else None
    return Judged(rows=tuple(rows), view=looked_at, features=features)


NO_SCORE = (DiffIRError, ValueError, MemoryError, RuntimeError)
"""What a picture may raise: metrics raise ValueError for tiny ones, torch RuntimeError for huge."""


def broken(case: Case, method: str, error: Exception) -> Row:
    """The row of a picture that could not be judged; raises again what is no fault of a picture."""
    if is_out_of_memory(error) and not isinstance(error, DiffIRError):
        why = "memory did not suffice to judge it; name fewer metrics, or give fewer --jobs"
    elif isinstance(error, DiffIRError | ValueError):
        why = str(error)
    else:
        raise error
    return Row(picture=case.name, method=method, error=why)


def row_of(name: str, case: Case, pair: Pair, tools: Tools) -> tuple[Row, Tensor]:
    """The row of one method on one picture, and what it restored, (1, 3, H, W) in 8 bits.

    Raises:
        DiffIRError, ValueError: when there is no score to be had.
    """
    began = time.perf_counter()
    restored = tools.restorers[name](case.name, pair)
    seconds = time.perf_counter() - began
    restored = round_to_8_bit(restored)
    same, gt = alike(restored, pair.gt, tools.plan.crop)
    scores = {
        metric: scored(metric, score, same, gt, pair.mask, tools.plan.border)
        for metric, score in tools.of_each.items()
    }
    own = any(method.name == name and method.kind != "folder" for method in tools.plan.methods)
    row = Row(picture=case.name, method=name, scores=scores, seconds=seconds if own else None)
    return row, restored


def alike(restored: Tensor, gt: Tensor | None, crop: bool) -> tuple[Tensor, Tensor | None]:
    """Both in one size, cut at the right and below if that is allowed; DataError if it is not."""
    if gt is None or restored.shape == gt.shape:
        return restored, gt
    if not crop:
        raise DataError(
            f"{restored.shape[-1]}×{restored.shape[-2]} found, and GT is "
            f"{gt.shape[-1]}×{gt.shape[-2]} (cut, where the scale does not divide it); "
            "make them alike"
        )
    height, width = (min(restored.shape[axis], gt.shape[axis]) for axis in (-2, -1))
    return restored[..., :height, :width], gt[..., :height, :width]


def scored(
    metric: str,
    score: Score,
    restored: Tensor,
    gt: Tensor | None,
    mask: Tensor | None,
    border: int,
) -> float:
    """One number of one picture, without a border where the metric is PSNR or SSIM.

    Raises:
        DataError, ValueError: when the picture is too small, or the mask has no hole.
    """
    images = {"restored": restored, "gt": gt, "mask": mask}
    cut = border if metric.startswith(("psnr", "ssim")) else 0
    home = home_of(score)
    ready = {
        name: without_border(image, cut).to(home)
        for name, image in images.items()
        if image is not None and name in ("restored", *METRICS[metric].needs)
    }
    return float(score(ready.pop("restored"), **ready))


def home_of(score: Score) -> torch.device:
    """Where a metric computes: its network's device, or the CPU, for not all have float64."""
    if isinstance(score, nn.Module):
        return next(score.parameters()).device
    return torch.device("cpu")


def features_of(
    pictures: Mapping[str | None, Tensor | None], tools: Tools
) -> dict[str | None, NDArray[np.float32]]:
    """What FID's network sees in the pictures that there are; nothing without FID."""
    score = next(iter(tools.of_sets.values()), None)
    if score is None:
        return {}
    assert isinstance(score, FID)
    return {
        name: score.inception(resized(image).to(home_of(score))).cpu().numpy()
        for name, image in pictures.items()
        if image is not None
    }
