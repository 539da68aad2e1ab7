"""diffir compare: score folders of pictures made by any program against GT."""

from pathlib import Path
from typing import Annotated

import typer

from .app import Overwrite, Seed, app, explained
from .evaluate import (
    Border,
    Jobs,
    Metrics,
    Outputs,
    Threads,
    require_reports,
    run,
    shows_views,
    split,
    tell,
)


@app.command()
@explained
def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER...", help="Folders of pictures named like those of GT"),
    ],
    gt: Annotated[
        Path | None, typer.Option(help="Folder of the ground truth; niqe alone needs none")
    ] = None,
    metrics: Metrics = None,
    border: Border = None,
    crop: Annotated[
        bool, typer.Option("--crop", help="Where sizes differ, compare the common top-left part")
    ] = False,
    output: Outputs = None,
    seed: Seed = 0,
    threads: Threads = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
) -> None:
    """Score folders of pictures, one row each. File names may end in x4, _out and the like."""
    require_reports(output or [], overwrite)
    from diffir.evaluation.planning import plan_comparison

    plan, notes = plan_comparison(
        folders,
        gt,
        metrics=split(metrics),
        border=border or 0,
        crop=crop,
        seed=seed,
        views=shows_views(output or []),
    )
    tell(run(plan, jobs, threads, data=str(gt or folders[0]), notes=notes), output or [])
