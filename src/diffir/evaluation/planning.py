"""Planning: from what a user asks to what is done, all that can be refused refused before."""

from collections.abc import Sequence
from pathlib import Path

from diffir.checkpoints.folder import WEIGHTS_FILE
from diffir.data import DEGRADATIONS, MotionBlur, unfit
from diffir.errors import DataError
from diffir.presets import PRESETS

from .benchmarks import Benchmark, benchmark_called, border_of, pictures_of, told
from .cases import cases_in, cases_of_folder
from .evaluate import Plan
from .layouts import Case
from .matching import matched, refuse_unlike, require_distinct
from .methods import Method, baselines_for, task_and_scale
from .metrics import METRICS, known, open_metrics
from .published import Published, beside

METRICS_OF = {
    "sr": ("psnr_y", "ssim_y"),
    "deblur": ("psnr", "ssim_volume"),
    "inpaint": ("psnr_hole", "ssim"),
}
"""What a task's pictures are judged by where neither user nor benchmark says."""
DEGRADATION_OF = {"sr": "bicubic", "deblur": "motion", "inpaint": "holes-training"}
ONE_KERNEL = "motion-uniform"
"""The degradation whose blur can be undone by its kernel."""
COMPARED = ("psnr", "ssim")
"""What folders of pictures are judged by."""


def plan_evaluation(
    models: Sequence[str],
    data: str,
    *,
    benchmark: str | None = None,
    metrics: Sequence[str] = (),
    border: int | None = None,
    degradation: str | None = None,
    baselines: bool = False,
    seed: int = 0,
    device: str = "auto",
    views: bool = False,
) -> tuple[Plan, list[str]]:
    """What `evaluate` shall do, and sentences on what is not as one might think.

    Args:
        models: what `load` takes, or folders of pictures that somebody made; all but folders are of
            one task and scale, and there is one at least.
        data: a folder in a layout of the task or benchmark, or anything that training takes.
        benchmark: a key of `BENCHMARKS`, in any spelling.
        metrics: keys of `METRICS`; none: those of the benchmark, or of the task.
        border: pixels; None: as many as the scale, where it is above 1.
        degradation: a key of `DEGRADATIONS`; None: that of the benchmark or task.
        baselines: whether rows of the task's baselines are added.
        seed: see `Plan`; 0 makes the pairs of validation.
        device: as `Restorer` takes it.
        views: whether crops are kept.

    Raises:
        DataError: when the data, the benchmark or the metrics can't be had or don't fit.
        WeightsError, DeviceError: when a model can't be loaded.
    """
    networks = [model for model in models if not is_pictures(model)]
    if not networks:
        raise DataError("folders alone were given; `diffir compare` takes them, with --gt")
    task, scale = task_and_scale(networks, device)
    chosen = None if benchmark is None else benchmark_called(benchmark)
    cases, notes = cases_for(data, chosen, task, scale)
    makes = degradation_for(degradation, chosen, cases, task, scale)
    methods = [
        matched(Path(model), cases) if model not in networks else Method(name=model)
        for model in models
    ]
    if baselines:
        extra, missing = baselines_for(task, scale, kernel_problem(makes, cases))
        methods, notes = methods + extra, notes + missing
    require_distinct(methods)
    asked = tuple(metrics) or (chosen.metrics if chosen else METRICS_OF[task])
    usable, unusable = usable_metrics(asked, cases, has_masks=task == "inpaint")
    plan = Plan(
        methods=tuple(methods),
        cases=tuple(cases),
        metrics=usable,
        border=border_of(scale) if border is None else border,
        scale=scale,
        degradation=DEGRADATIONS[makes] if makes else None,
        seed=seed,
        device=device,
        views=views,
    )
    return plan, [*notes, *made_notes(makes, cases, seed), *unusable]


def is_pictures(model: str) -> bool:
    """Whether a word means a folder of pictures, and no network, be it in a folder of its own."""
    return (
        Path(model).is_dir() and model not in PRESETS and not (Path(model) / WEIGHTS_FILE).exists()
    )


def cases_for(
    data: str, benchmark: Benchmark | None, task: str, scale: int
) -> tuple[list[Case], list[str]]:
    """The pictures, and what a benchmark's check says of them; raises DataError."""
    if benchmark is None:
        return cases_in(data, task, scale)[1], []
    if benchmark.task != task:
        raise DataError(
            f"benchmark {benchmark.name} is of {benchmark.task} and the model of {task}; "
            "take another of either"
        )
    layout, cases = pictures_of(benchmark, Path(data), scale)
    return cases, [told(benchmark, layout, cases, scale)]


def degradation_for(
    asked: str | None, benchmark: Benchmark | None, cases: Sequence[Case], task: str, scale: int
) -> str | None:
    """The name of how LQ is made, None where all pictures have one; raises DataError."""
    lacking = any(case.lq is None and case.mask is None and not case.problem for case in cases)
    if asked is not None and not lacking:
        raise DataError(f"the data have an LQ of their own; leave --degradation {asked} out")
    if not lacking and task != "inpaint":
        return None
    name = asked or (benchmark.degradation if benchmark else None) or DEGRADATION_OF[task]
    if name not in DEGRADATIONS:
        raise DataError(f"degradation {name!r} found; there are {', '.join(DEGRADATIONS)}")
    problem = unfit(DEGRADATIONS[name], task, scale)
    if problem is not None:
        raise DataError(f"{problem}; choose another with --degradation")
    return name


def kernel_problem(degradation: str | None, cases: Sequence[Case]) -> str | None:
    """Why the blur of LQ has no kernel that is known; None where it has."""
    if degradation is None or any(case.lq is not None for case in cases):
        return (
            "nobody tells the kernel of LQ's blur; give sharp photos alone with "
            f"--degradation {ONE_KERNEL}"
        )
    settings = DEGRADATIONS[degradation]
    if isinstance(settings, MotionBlur) and settings.turn_probability == 0:
        return None
    return f"{degradation} has no kernel that is the same everywhere; {ONE_KERNEL} has"


def made_notes(degradation: str | None, cases: Sequence[Case], seed: int) -> list[str]:
    """A sentence where LQ is made."""
    made = sum(1 for case in cases if case.lq is None and case.mask is None and not case.problem)
    if degradation is None or not made:
        return []
    return [f"LQ of {made} of {len(cases)} pictures is made: {degradation}, seed {seed}"]


def usable_metrics(
    asked: Sequence[str], cases: Sequence[Case], *, has_masks: bool
) -> tuple[tuple[str, ...], list[str]]:
    """The metrics that can be had here on these pictures, and why the others can't.

    Raises:
        DataError: when there is no metric of a name, or none can be had.
    """
    there = {"gt": any(case.gt is not None for case in cases), "mask": has_masks}
    words = {"gt": "GT", "mask": "masks"}
    lacking = {
        name: [words[need] for need in known(name).needs if not there[need]] for name in asked
    }
    notes = [
        f"{name} is left out, for the pictures have no {' and no '.join(needs)}"
        for name, needs in lacking.items()
        if needs
    ]
    single = {name for name in asked if METRICS[name].of_sets and len(cases) < 2}
    notes += [
        f"{name} is left out, for it compares sets, of 2 pictures at least" for name in single
    ]
    available, unavailable = open_metrics(
        name for name in asked if not lacking[name] and name not in single
    )
    notes += [f"{name} is left out: {reason}" for name, reason in unavailable.items()]
    if not available:
        raise DataError(
            f"no metric is left: {'; '.join(notes) or 'none was named'}; give what they need, or "
            "name others with --metrics"
        )
    return tuple(dict.fromkeys(available)), notes


def published_for(benchmark: str, plan: Plan) -> tuple[Published, ...]:
    """What the paper has of a benchmark in a plan's metrics, by the first of them best last.

    Nothing where the plan is of another scale. Raises DataError for an unknown benchmark.
    """
    if benchmark_called(benchmark).scale != plan.scale:
        return ()
    return tuple(dict.fromkeys(row for name in plan.metrics for row in beside(benchmark, name)))


def plan_comparison(
    folders: Sequence[Path],
    gt: Path | None,
    *,
    metrics: Sequence[str] = (),
    border: int = 0,
    crop: bool = False,
    seed: int = 0,
    views: bool = False,
) -> tuple[Plan, list[str]]:
    """What `compare` shall do with folders of pictures, and sentences on what is not as asked.

    Args:
        folders: pictures that any program made, called after those of GT.
        gt: the folder of GT; None for metrics that need none, which the first folder's names rule.
        metrics: keys of `METRICS`; none: PSNR and SSIM on RGB.
        border: pixels left out.
        crop: whether sizes may differ; then what both share at the top left is compared.
        seed: of the confidence intervals.
        views: whether crops are kept.

    Raises:
        DataError: when a folder is missing or empty, or pictures do not match.
        PictureError: when the head of a picture can't be read.
    """
    cases = cases_of_folder(gt or folders[0])
    methods = [matched(folder, cases) for folder in folders]
    require_distinct(methods)
    if gt is None:
        cases = [Case(name=case.name) for case in cases]
    for method in methods:
        refuse_unlike(method, cases, crop)
    usable, notes = usable_metrics(tuple(metrics) or COMPARED, cases, has_masks=False)
    plan = Plan(
        methods=tuple(methods),
        cases=tuple(cases),
        metrics=usable,
        border=border,
        crop=crop,
        seed=seed,
        views=views,
    )
    return plan, notes
