"""diffir restore: restore pictures and folders of them."""

import logging
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from .app import (
    USER_MISTAKE,
    Detail,
    Device,
    Memory,
    Overwrite,
    Precision,
    Seed,
    app,
    complain,
    err,
    explained,
    fail,
    out,
    say,
    sigterm_as_ctrl_c,
)
from .restoring import Network, Run, model_of, run_here, run_on_ray

if TYPE_CHECKING:
    from diffir.distributed.ranks import Rank
    from diffir.inference.batch import Outcome
    from diffir.inference.jobs import Job
    from diffir.inference.manifest import Manifest, Settings
    from diffir.inference.places import Place


@app.command()
@explained
def restore(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="IN...", help="Pictures and folders; also s3://… and the like"),
    ],
    output: Annotated[
        str,
        typer.Option("-o", "--output", help="A file for one picture; a folder otherwise"),
    ],
    task: Annotated[
        Literal["sr", "deblur", "inpaint"] | None,
        typer.Option(
            help="Use the bundled network that enlarges ×4, deblurs or fills holes; default sr"
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Instead of --task: a name from `diffir models`, a weights file, an exported "
            "file, or user/repo on the Hugging Face Hub"
        ),
    ] = None,
    backend: Annotated[
        Literal["onnxruntime", "openvino"] | None,
        typer.Option(help="Runtime of an exported file; default: by its suffix"),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            help="For inpainting: a picture of the same size, white (or transparent) = hole; or a "
            "folder of masks named like the pictures. Without it, transparent pixels are filled"
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Precision = "float32",
    memory: Memory = None,
    ensemble: Annotated[
        bool,
        typer.Option(
            "--ensemble", help="Average over the 8 flips and rotations; takes 8 times as long"
        ),
    ] = False,
    detail: Detail = 0.0,
    suffix: Annotated[
        str | None,
        typer.Option(
            "--format", help="File format in an output folder, such as png; default: as the input"
        ),
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="Refuse larger pictures; raise it for files you trust")
    ] = None,
    overwrite: Overwrite = False,
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help="Only paths (relative to the folder) that match; may be repeated"
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Skip paths that match; may be repeated"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes, each with its own network; default: this one"),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Use a Ray cluster: host:port, auto (the one running here) or local (this "
            "machine); --workers then counts its workers",
        ),
    ] = None,
    worker_cores: Annotated[
        int, typer.Option(min=1, help="With --ray: cores and threads per worker")
    ] = 1,
    worker_gpus: Annotated[
        float | None,
        typer.Option(
            min=0, help="With --ray: GPUs per worker, 0.5: two share one; default 1 if any"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; write nothing")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("-v", "--verbose", help="Show the planned memory and tiles of each picture"),
    ] = False,
) -> None:
    """Restore pictures, or every picture in folders (their structure is kept).

    manifest.jsonl in the output folder records each file, so an interrupted run can be continued.
    """
    from diffir.distributed.ranks import device_of_rank
    from diffir.inference.engine import bytes_of
    from diffir.inference.jobs import means_folder, plan
    from diffir.inference.manifest import Settings, read_manifest
    from diffir.inference.places import exists, parse_place
    from diffir.loading import weights_digest

    require_names(sources, output, mask)
    places, goal = [parse_place(source) for source in sources], parse_place(output)
    jobs = plan(
        places,
        goal,
        None if mask is None else parse_place(mask),
        suffix and "." + suffix.lstrip(".").lower(),
        include=include or (),
        exclude=exclude or (),
    )
    into_folder = means_folder(places, goal)
    if not into_folder and exists(goal) and not overwrite:
        raise fail(f"{output} exists; choose another name or add --overwrite")
    network = Network(
        model=model_of(task, model, backend),
        backend=backend,
        device=device_of_rank(device) if ray is None else device,
        precision=precision,
        budget=None if memory is None else bytes_of(memory),
        ensemble=ensemble,
        detail=detail,
        has_mask=mask is not None,
    )
    settings = Settings(
        model=network.model,
        weights=weights_digest(network.model, detail),
        seed=seed,
        precision=precision,
        ensemble=ensemble,
        detail=detail,
    )
    if dry_run:
        foretell(jobs, read_manifest(goal, settings) if into_folder else None, overwrite)
        return
    if verbose:
        show_plans()
    build = (
        partial(run_here, network, workers)
        if ray is None
        else partial(run_on_ray, network, workers, worker_cores, worker_gpus)
    )
    restore_jobs(
        jobs,
        build,
        settings,
        folder=goal if into_folder else None,
        ray=ray,
        overwrite=overwrite,
        max_pixels=max_pixels,
    )


def require_names(sources: list[str], output: str, mask: str | None) -> None:
    """Refuse empty names, and videos, which another command takes."""
    for source in sources:
        if source.lower().endswith((".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")):
            raise fail(f"{source} is a video; use `diffir video {source} -o OUT`")
    if "" in sources or mask == "":
        raise fail("an empty name found; give a file or a folder, and check your shell variables")
    if output in ("", "-"):
        raise fail(f"--output {output!r} found; give the name of a file or a folder")


def restore_jobs(
    jobs: "list[Job]",
    build: "Callable[[], Run]",
    settings: "Settings",
    *,
    folder: "Place | None",
    ray: str | None,
    overwrite: bool,
    max_pixels: int | None,
) -> None:
    """Restore, with a line for each file; into a folder with a manifest, or into single files.

    Under torchrun this process restores its part of the files; with `ray` a cluster does.
    """
    from diffir.distributed import cluster, rank_of_torchrun
    from diffir.images import MAX_PIXELS
    from diffir.inference.manifest import open_manifest

    on_cluster = nullcontext() if ray is None else cluster(ray)
    with sigterm_as_ctrl_c(), rank_of_torchrun() as rank, on_cluster:
        if rank is not None:
            jobs = rank.part(jobs)
        run = build()
        began = time.monotonic()
        opened = (
            nullcontext()
            if folder is None
            else open_manifest(folder, settings, jobs, rank.number if rank else 0)
        )
        with opened as manifest, files_bar(len(jobs)) as progress:
            outcomes = reported(
                run(
                    jobs,
                    seed=settings.seed,
                    overwrite=overwrite,
                    max_pixels=max_pixels or MAX_PIXELS,
                    progress=progress,
                    manifest=manifest,
                )
            )
            summarise(outcomes, began, rank)


def foretell(jobs: "list[Job]", manifest: "Manifest | None", overwrite: bool) -> None:
    """Print what a run would do with each file."""
    from diffir.inference.batch import decide
    from diffir.inference.manifest import known_to

    decisions = [decide(job, known_to(manifest, job), overwrite=overwrite) for job in jobs]
    for job, outcome in zip(jobs, decisions, strict=True):
        if outcome is None:
            say(f"would restore: {job.source} → {job.target}")
        elif outcome.error:
            say(f"would fail: {outcome.error}")
        else:
            say(f"would skip ({outcome.skipped}): {job.target}")
    failed = sum(1 for outcome in decisions if outcome and outcome.error)
    skipped = sum(1 for outcome in decisions if outcome and outcome.skipped)
    say(f"{len(jobs) - failed - skipped} to restore, {skipped} to skip, {failed} will fail")


def reported(outcomes: "Generator[Outcome, None, None]") -> "list[Outcome]":
    """All outcomes, each printed at once; interrupted, the run behind them is closed."""
    with closing(outcomes) as running:
        seen = []
        for outcome in running:
            report(outcome)
            seen.append(outcome)
        return seen


def show_plans() -> None:
    """Print the engine's plan for each picture above the bar."""
    from rich.logging import RichHandler

    handler = RichHandler(console=err, show_time=False, show_level=False, show_path=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])


@contextmanager
def files_bar(total: int) -> "Iterator[Callable[[float], None]]":
    """A callback for the number of files done, shown as a progress bar on a terminal."""
    columns = (
        TextColumn("restoring"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


def report(outcome: "Outcome") -> None:
    """One line for a file."""
    job = outcome.job
    if outcome.error:
        complain("failed:", outcome.error)
        return
    line = f"{job.source} → {job.target}"
    if outcome.skipped:
        line = f"skipped ({outcome.skipped}; --overwrite replaces it): {job.target}"
    # On a screen both streams are one, and only the bar's own console writes above the bar.
    screen = err if err.is_terminal and out.is_terminal else out
    screen.print(line, soft_wrap=True)


def summarise(outcomes: "list[Outcome]", began: float, rank: "Rank | None") -> None:
    """A last line for several files, of all processes together; exit code 2 when any failed."""
    from diffir.distributed.ranks import summed

    failed = sum(1 for outcome in outcomes if outcome.error)
    skipped = sum(1 for outcome in outcomes if outcome.skipped)
    restored = len(outcomes) - failed - skipped
    if rank is not None:
        restored, skipped, failed = summed([restored, skipped, failed])
    seconds = time.monotonic() - began
    if restored + skipped + failed > 1 and (rank is None or rank.number == 0):
        say(
            f"{restored} restored, {skipped} skipped, {failed} failed in {seconds:.1f} s "
            f"({restored / max(seconds, 1e-3):.2f} pictures/s)"
        )
    if failed:
        raise typer.Exit(USER_MISTAKE)
