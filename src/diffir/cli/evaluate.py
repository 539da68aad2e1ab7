"""diffir evaluate: score networks by the papers' protocols, in one table."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .app import (
    USER_MISTAKE,
    Device,
    Overwrite,
    Seed,
    app,
    complain,
    explained,
    fail,
    require_free,
    say,
    sigterm_as_ctrl_c,
    watched,
)

if TYPE_CHECKING:
    from diffir.evaluation.evaluate import Plan
    from diffir.evaluation.published import Published
    from diffir.evaluation.summary import Report

Metrics = Annotated[
    str | None,
    typer.Option(
        help="Separated by commas: psnr, psnr_y, psnr_hole, ssim, ssim_y, ssim_volume, lpips_alex, "
        "lpips_vgg, dists, fid, niqe"
    ),
]
Border = Annotated[
    int | None, typer.Option(min=0, help="Pixels cropped from every side before PSNR and SSIM")
]
Outputs = Annotated[
    list[Path] | None,
    typer.Option("-o", "--output", help="A report: .html, .json, .csv or .md; may be repeated"),
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of each process")]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes that share the GPUs; each loads the models. Default: one per GPU, or 1",
    ),
]


@app.command()
@explained
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Names from `diffir models`, weights files, or folders of pictures restored by "
            "other programs",
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            help="A folder with `gt` and `lq`, a benchmark as downloaded, or photos, from which "
            "LQ is made"
        ),
    ],
    benchmark: Annotated[
        str | None, typer.Option(help="Require all its pictures, and use its protocol: set14 …")
    ] = None,
    metrics: Metrics = None,
    border: Border = None,
    degradation: Annotated[
        str | None,
        typer.Option(help="How LQ is made from photos: bicubic, motion-uniform, holes-wide-256 …"),
    ] = None,
    output: Outputs = None,
    beside: Annotated[
        Literal["paper"] | None, typer.Option(help="Print the paper's scores below")
    ] = None,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Add the task's usual baselines: bicubic, Telea …")
    ] = False,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
) -> None:
    """Score models on pictures: one row per model, mean and 95 % confidence interval."""
    if beside and not benchmark:
        raise fail("--beside paper found without --benchmark; add the benchmark to look up")
    require_reports(output or [], overwrite)
    from diffir.evaluation.benchmarks import benchmark_called
    from diffir.evaluation.planning import plan_evaluation, published_for

    benchmark = benchmark and benchmark_called(benchmark).name
    plan, notes = plan_evaluation(
        models,
        data,
        benchmark=benchmark,
        metrics=split(metrics),
        border=border,
        degradation=degradation,
        baselines=baselines,
        seed=seed,
        device=device,
        views=shows_views(output or []),
    )
    published = published_for(benchmark, plan) if beside and benchmark else ()
    if beside and not published:
        found = f"{', '.join(plan.metrics)} of {benchmark} ×{plan.scale}"
        notes = [*notes, f"the paper has no {found}"]
    report = run(
        plan, jobs, threads, data=data, benchmark=benchmark, published=published, notes=notes
    )
    tell(report, output or [])


def split(metrics: str | None) -> list[str]:
    """The names in a comma-separated text."""
    return [name.strip() for name in (metrics or "").split(",") if name.strip()]


def shows_views(outputs: Sequence[Path]) -> bool:
    """Whether a report shows crops."""
    return any(path.suffix.lower() == ".html" for path in outputs)


def require_reports(outputs: Sequence[Path], overwrite: bool) -> None:
    """Refuse reports that can't be written, before the evaluation starts."""
    from diffir.evaluation.report import require_format
    from diffir.inference.jobs import require_writable

    for path in outputs:
        require_format(path)
        require_writable(path.parent)
        if path.is_dir():
            raise fail(f"{path} is a folder; choose another name")
        require_free(path, overwrite)


def run(
    plan: "Plan",
    jobs: int | None,
    threads: int | None,
    *,
    data: str,
    benchmark: str | None = None,
    published: "tuple[Published, ...]" = (),
    notes: Sequence[str] = (),
) -> "Report":
    """Carry out a plan, with a progress bar on a terminal."""
    from diffir.evaluation.evaluate import evaluate as judge
    from diffir.evaluation.evaluate import jobs_for
    from diffir.evaluation.summary import report_of

    with sigterm_as_ctrl_c():
        rows = judge(plan, jobs=jobs or jobs_for(plan.device), threads=threads)
        found = watched(rows, "evaluating", len(plan.cases))
        return report_of(
            plan, found, data=data, benchmark=benchmark, published=published, notes=notes
        )


def tell(report: "Report", outputs: Sequence[Path]) -> None:
    """Write the reports and print the table; exit with 2 if a picture failed.

    If all pictures failed, print only one sentence.
    """
    from diffir.evaluation.report import facts, means_table, worst, write_report

    if report.broken and len(report.broken) == len(report.rows):
        first, more = report.broken[0], len({row.picture for row in report.broken}) - 1
        raise fail(
            f"no picture could be scored; {first.picture}: {first.error}"
            + (f"; {more} more failed" if more else "")
        )
    for path in outputs:  # first, since the reader of the table may exit early (`| head`)
        write_report(report, path)
    say(means_table(report))
    for sentence in (*facts(report), worst(report), *(f"→ {path}" for path in outputs)):
        if sentence:
            say(sentence)
    for picture, error in dict.fromkeys((row.picture, row.error) for row in report.broken):
        complain("failed:", f"{picture}: {error}")
    if report.broken:
        raise typer.Exit(USER_MISTAKE)
