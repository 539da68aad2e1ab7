"""Evaluate: run methods on pictures and score each result, in one or several processes."""

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
    """The methods, pictures and settings of an evaluation; picklable."""

    methods: tuple[Method, ...]
    cases: tuple[Case, ...]
    metrics: tuple[str, ...]
    """Keys of `METRICS` whose weights are available."""
    border: int = 0
    """Pixels cropped from every side for PSNR and SSIM; other metrics see the whole picture."""
    scale: int = 1
    degradation: MakesPairs | None = None
    """How LQ is made for cases without one; None if there are none."""
    seed: int = 0
    """Of that LQ, of the networks' initial noise, and of the confidence intervals."""
    device: str = "auto"
    crop: bool = False
    """Whether pictures that differ in size from GT are compared in their common top-left part."""
    views: bool = False
    """Whether crops are kept for the HTML report."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """The result of one method on one picture."""

    picture: str
    method: str
    scores: Mapping[str, float] = field(default_factory=dict)
    """By metric; empty if there is an error."""
    seconds: float | None = None
    """Wall-clock time to restore it, without reading; None for pictures made elsewhere."""
    error: str = ""
    """Why there are no scores."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """All results for one picture."""

    rows: tuple[Row, ...]
    view: View | None = None
    features: Mapping[str | None, NDArray[np.float32]] = field(default_factory=dict)
    """(1, D) by method, with None for GT, for the metrics of whole sets."""


Judge = Callable[[int], Judged]
"""Takes a case's index in the plan."""


LOOK_SECONDS = 0.1
"""Interval between checks for Ctrl-C."""


def evaluate(plan: Plan, *, jobs: int = 1, threads: int | None = None) -> Iterator[Judged]:
    """Evaluate the pictures in the order of the plan; failures become rows with an error.

    Args:
        plan: the plan.
        jobs: processes, each of which loads every method, on the devices of `devices_of`.
        threads: of torch in each process; None: one if there are several processes.

    Raises:
        WeightsError, DeviceError: when a method can't be loaded.
        DeviceError: when a process dies.
    """
    if jobs == 1:
        if threads:
            torch.set_num_threads(threads)
        yield from map(judge_of(plan), range(len(plan.cases)))
        return
    # Spawned, because torch's threads and CUDA do not survive a fork
    context = multiprocessing.get_context("spawn")
    devices = context.SimpleQueue()  # each process takes one
    for device in devices_of(plan.device, jobs):
        devices.put(device)
    pool = ProcessPoolExecutor(jobs, context, prepare_process, (plan, threads or 1, devices))
    try:
        with noted() as interruptions:  # raising them at once could leave the pool's locks held
            with held_back():
                judged = deque(pool.submit(judge_here, index) for index in range(len(plan.cases)))
            while judged:
                one = judged.popleft()  # so that results are freed once they are passed on
                while not one.done() and not interruptions:
                    wait([one], timeout=LOOK_SECONDS)
                if interruptions:
                    break
                yield one.result()
    except BrokenProcessPool as error:
        raise DeviceError(
            "a process was killed, probably for lack of memory; give fewer --jobs"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def jobs_for(device: str) -> int:
    """One process per GPU if the device allows any GPU; otherwise one."""
    return max(1, torch.cuda.device_count()) if device in ("auto", "cuda") else 1


def devices_of(device: str, jobs: int) -> list[str]:
    """A device for each process: GPUs in turn if the device allows any GPU."""
    count = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    return [f"cuda:{job % count}" if count else device for job in range(jobs)]


_here: list[Judge] = []  # the judge of this process, which can't be pickled


def prepare_process(plan: Plan, threads: int, devices: "SimpleQueue[str]") -> None:
    """Load everything once per process, which ends with its parent and ignores Ctrl-C."""
    Thread(target=end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    let_through()
    torch.set_num_threads(threads)
    _here.append(judge_of(replace(plan, device=devices.get())))


def judge_here(index: int) -> Judged:
    """Evaluate a picture in a prepared process."""
    return _here[0](index)


@dataclass(frozen=True, kw_only=True)
class Tools:
    """The loaded methods and metrics of a plan."""

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
    """A function that evaluates pictures of the plan; raises as `opened`."""
    return partial(judged, tools_of(plan))


@torch.no_grad()
def judged(tools: Tools, index: int) -> Judged:
    """The results of every method on one picture."""
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
    crops = view(case.name, pair, pictures) if plan.views and pictures else None
    return Judged(rows=tuple(rows), view=crops, features=features)


NO_SCORE = (DiffIRError, MemoryError, RuntimeError)
"""Errors that a single picture may cause; torch raises RuntimeError for lack of memory."""


def broken(case: Case, method: str, error: Exception) -> Row:
    """The row of a picture that could not be scored; re-raises errors that are bugs."""
    if is_out_of_memory(error) and not isinstance(error, DiffIRError):
        why = "out of memory; give fewer --metrics or --jobs"
    elif isinstance(error, DiffIRError):
        why = str(error)
    else:
        raise error
    return Row(picture=case.name, method=method, error=why)


def row_of(name: str, case: Case, pair: Pair, tools: Tools) -> tuple[Row, Tensor]:
    """The row of one method on one picture, and the restored picture (1, 3, H, W) in 8 bits.

    Raises:
        DiffIRError: when the picture cannot be scored.
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
    """Both cropped to their common top-left part if that is allowed; otherwise DataError."""
    if gt is None or restored.shape == gt.shape:
        return restored, gt
    if not crop:
        raise DataError(
            f"{restored.shape[-1]}×{restored.shape[-2]} found, but GT is "
            f"{gt.shape[-1]}×{gt.shape[-2]} (cropped to a multiple of the scale); "
            "make their sizes equal"
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
    """One metric of one picture, without the border for PSNR and SSIM.

    Raises:
        DataError: when the picture is too small, or the mask has no hole.
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
    """The device of a metric: its network's, or the CPU, since not all devices have float64."""
    if isinstance(score, nn.Module):
        return next(score.parameters()).device
    return torch.device("cpu")


def features_of(
    pictures: Mapping[str | None, Tensor | None], tools: Tools
) -> dict[str | None, NDArray[np.float32]]:
    """FID's features of the pictures that are not None; empty without FID."""
    score = next(iter(tools.of_sets.values()), None)
    if score is None:
        return {}
    assert isinstance(score, FID)
    return {
        name: score.inception(resized(image).to(home_of(score))).cpu().numpy()
        for name, image in pictures.items()
        if image is not None
    }
