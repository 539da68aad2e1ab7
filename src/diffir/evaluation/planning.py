"""Planning: turn a user's request into a plan, and refuse mistakes before the evaluation starts."""

from collections.abc import Sequence
from pathlib import Path

from diffir.checkpoints.folder import WEIGHTS_FILE
from diffir.data import DEGRADATIONS, MotionBlur, unfit
from diffir.data.degradations import MakesPairs
from diffir.errors import DataError
from diffir.presets import PRESETS

from .benchmarks import Benchmark, benchmark_called, border_of, count_note, pictures_of
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
"""The default metrics of a task, unless the user or the benchmark chooses others."""
DEGRADATION_OF = {"sr": "bicubic", "deblur": "motion", "inpaint": "holes-training"}
ONE_KERNEL = "motion-uniform"
"""The degradation with one known kernel per picture."""
COMPARED = ("psnr", "ssim")
"""The default metrics of `diffir compare`."""


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
    """The plan for `evaluate`, and notes for the user.

    Args:
        models: as for `load`, or folders of pictures restored by other programs; at least one
            model, all of one task and scale.
        data: a folder in a layout of the task or benchmark, or anything that training takes.
        benchmark: a key of `BENCHMARKS`, in any spelling.
        metrics: keys of `METRICS`; empty: those of the benchmark, or of the task.
        border: pixels; None: the scale, or 0 for scale 1.
        degradation: a key of `DEGRADATIONS`; None: that of the benchmark or task.
        baselines: whether to add the task's baselines.
        seed: see `Plan`; 0 makes the pairs of validation.
        device: as for `Restorer`.
        views: whether to keep crops.

    Raises:
        DataError: when the data, the benchmark or the metrics are unavailable or don't fit.
        WeightsError, DeviceError: when a model can't be loaded.
    """
    networks = [model for model in models if not is_pictures(model)]
    if not networks:
        raise DataError("only folders found; give a model, or use `diffir compare` with --gt")
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
    """Whether a word is a folder of pictures, and not a network or a folder with one."""
    return (
        Path(model).is_dir() and model not in PRESETS and not (Path(model) / WEIGHTS_FILE).exists()
    )


def cases_for(
    data: str, benchmark: Benchmark | None, task: str, scale: int
) -> tuple[list[Case], list[str]]:
    """The pictures, and a note on how many of a benchmark there are; raises DataError."""
    if benchmark is None:
        return cases_in(data, task, scale)[1], []
    if benchmark.task != task:
        raise DataError(
            f"benchmark {benchmark.name} is for {benchmark.task} and the model for {task}; "
            "change one of them"
        )
    layout, cases = pictures_of(benchmark, Path(data), scale)
    return cases, [count_note(benchmark, layout, cases, scale)]


def degradation_for(
    asked: str | None, benchmark: Benchmark | None, cases: Sequence[Case], task: str, scale: int
) -> str | None:
    """The name of the degradation that makes LQ, None if all pictures have it; raises DataError."""
    lacking = any(case.lq is None and case.mask is None and not case.problem for case in cases)
    if asked is not None and not lacking:
        raise DataError(f"the data have their own LQ; leave --degradation {asked} out")
    if not lacking and task != "inpaint":
        return None
    name = asked or (benchmark.degradation if benchmark else None) or DEGRADATION_OF[task]
    require_fit(degradation_named(name), task, scale)
    return name


def degradation_named(name: str) -> MakesPairs:
    """The degradation of a name; raises DataError for an unknown one."""
    if name not in DEGRADATIONS:
        raise DataError(f"degradation {name!r} found; choose one of {', '.join(DEGRADATIONS)}")
    return DEGRADATIONS[name]


def require_fit(degradation: MakesPairs, task: str, scale: int) -> None:
    """Raise DataError for a degradation that does not fit the task or the scale."""
    problem = unfit(degradation, task, scale)
    if problem is not None:
        raise DataError(f"{problem}; choose another with --degradation")


def kernel_problem(degradation: str | None, cases: Sequence[Case]) -> str | None:
    """Why the blur kernel of LQ is unknown; None if it is known."""
    if degradation is None or any(case.lq is not None for case in cases):
        return (
            "the blur kernel of LQ is unknown; give only sharp photos with "
            f"--degradation {ONE_KERNEL}"
        )
    settings = DEGRADATIONS[degradation]
    if isinstance(settings, MotionBlur) and settings.turn_probability == 0:
        return None
    return f"{degradation} has no uniform kernel; use --degradation {ONE_KERNEL}"


def made_notes(degradation: str | None, cases: Sequence[Case], seed: int) -> list[str]:
    """A note if LQ is made."""
    made = sum(1 for case in cases if case.lq is None and case.mask is None and not case.problem)
    if degradation is None or not made:
        return []
    return [f"LQ of {made} of {len(cases)} pictures was made: {degradation}, seed {seed}"]


def usable_metrics(
    asked: Sequence[str], cases: Sequence[Case], *, has_masks: bool
) -> tuple[tuple[str, ...], list[str]]:
    """The metrics available for these pictures, and sentences on why others are not.

    Raises:
        DataError: when a name is unknown, or no metric is available.
    """
    there = {"gt": any(case.gt is not None for case in cases), "mask": has_masks}
    words = {"gt": "GT", "mask": "masks"}
    lacking = {
        name: [words[need] for need in known(name).needs if not there[need]] for name in asked
    }
    notes = [
        f"{name} is left out because the pictures have no {' and no '.join(needs)}"
        for name, needs in lacking.items()
        if needs
    ]
    single = {name for name in asked if METRICS[name].of_sets and len(cases) < 2}
    notes += [
        f"{name} is left out because it compares sets of at least 2 pictures" for name in single
    ]
    available, unavailable = open_metrics(
        name for name in asked if not lacking[name] and name not in single
    )
    notes += [f"{name} is left out: {reason}" for name, reason in unavailable.items()]
    if not available:
        raise DataError(
            f"no metric is left: {'; '.join(notes) or 'none was given'}; give what they need, or "
            "choose others with --metrics"
        )
    return tuple(dict.fromkeys(available)), notes


def published_for(benchmark: str, plan: Plan) -> tuple[Published, ...]:
    """The paper's scores on a benchmark in a plan's metrics, best last by the first metric.

    Empty if the plan has another scale. Raises DataError for an unknown benchmark.
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
    """The plan for `compare`, and notes for the user.

    Args:
        folders: pictures made by any program, named like those of GT.
        gt: the folder of GT; None for metrics without GT, with the names of the first folder.
        metrics: keys of `METRICS`; empty: PSNR and SSIM on RGB.
        border: pixels cropped from every side.
        crop: whether sizes may differ, so that the common top-left part is compared.
        seed: of the confidence intervals.
        views: whether to keep crops.

    Raises:
        DataError: when a folder is missing or empty, or pictures do not match.
        PictureError: when the header of a picture can't be read.
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
