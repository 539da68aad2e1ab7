"""diffir restore: pictures in, better pictures out."""

import logging
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
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
    Device,
    Memory,
    Precision,
    app,
    complain,
    err,
    explained,
    fail,
    out,
    say,
)

if TYPE_CHECKING:
    from diffir.export import Backend
    from diffir.inference.batch import Outcome
    from diffir.inference.jobs import Job
    from diffir.inference.manifest import Manifest


@app.command()
@explained
def restore(
    sources: Annotated[list[Path], typer.Argument(metavar="IN...", help="Pictures and folders")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="A file for one picture; a folder otherwise"),
    ],
    model: Annotated[
        str,
        typer.Option(help="A name from `diffir models`, a weights file, or one of `diffir export`"),
    ] = "sr-x4-lite",
    backend: Annotated[
        Literal["onnxruntime", "openvino"] | None,
        typer.Option(help="What runs an exported file; else what its suffix tells"),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="For inpainting: a picture of equal size, white (or transparent) = hole; or a "
            "folder of masks with the pictures' names. Without it, what is transparent is filled"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same seed, same bits")] = 0,
    device: Device = "auto",
    precision: Precision = "float32",
    memory: Memory = None,
    suffix: Annotated[
        str | None, typer.Option("--format", help="Of files in a folder, say png; else as read")
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="Largest picture to read; raise it if you trust yours")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there")] = False,
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help="Only what fits, below the given folder; may be repeated"
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Not what fits; may be repeated")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes, each with a network; else one, this")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and write nothing")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Say of each picture what it will take")
    ] = False,
) -> None:
    """Restore pictures, or every picture in folders (their structure is kept).

    A folder's manifest.jsonl says what was made of what: the next run goes on where one was ended.
    """
    from diffir.export.runners import backend_of
    from diffir.files import digest_of
    from diffir.images import MAX_PIXELS
    from diffir.inference.engine import bytes_of
    from diffir.inference.jobs import means_folder, plan
    from diffir.inference.manifest import Settings, open_manifest, read_manifest
    from diffir.loading import weights_file

    jobs = plan(
        sources,
        output,
        mask,
        suffix and "." + suffix.lstrip(".").lower(),
        include=include or (),
        exclude=exclude or (),
    )
    into_folder = means_folder(sources, output)
    if not into_folder and output.exists() and not overwrite:
        raise fail(f"{output} exists; choose another name or add --overwrite")
    budget = None if memory is None else bytes_of(memory)
    if backend is not None:
        backend_of(Path(model), backend)  # raises for what it does not run
    weights = digest_of(weights_file(model))
    settings = Settings(model=model, weights=weights, seed=seed, precision=precision)
    if dry_run:
        foretell(jobs, read_manifest(output, settings) if into_folder else None, overwrite)
        return
    if verbose:
        tell_plans()
    with sigterm_as_ctrl_c():
        run = runner(
            model,
            device,
            precision,
            budget,
            backend=backend,
            workers=workers,
            has_mask=mask is not None,
        )
        began = time.monotonic()
        opened = open_manifest(output, settings, jobs) if into_folder else nullcontext()
        with opened as manifest, files_bar(len(jobs)) as progress:
            outcomes = reported(
                run(
                    jobs,
                    seed=seed,
                    overwrite=overwrite,
                    max_pixels=max_pixels or MAX_PIXELS,
                    progress=progress,
                    manifest=manifest,
                )
            )
        summarise(outcomes, time.monotonic() - began)


def runner(
    model: str,
    device: str,
    precision: Literal["float32", "bfloat16"],
    budget: int | None,
    *,
    backend: "Backend | None",
    workers: int | None,
    has_mask: bool,
) -> "Callable[..., Generator[Outcome, None, None]]":
    """What restores jobs, in this process or in several; raises as `Restorer.from_pretrained`."""
    from diffir.export import ExportedRestorer, is_exported
    from diffir.inference import Restorer
    from diffir.inference.batch import restore_files
    from diffir.inference.devices import pick_device
    from diffir.inference.engine import default_budget
    from diffir.inference.workers import restore_in_processes
    from diffir.tasks import unwanted_mask

    exported = is_exported(model)
    place = pick_device(device)
    free = default_budget(place) if place.type == "cpu" and not exported else None
    if workers is not None and budget is None and free is not None:
        budget = free // workers  # else each would take all that is free
    load: Callable[..., Restorer] = (
        partial(ExportedRestorer.from_file, model, backend)
        if exported
        else partial(Restorer.from_pretrained, model)
    )
    build = partial(load, device=device, precision=precision, memory=budget)
    restorer = build() if workers is None else build(device="cpu")  # there, to see what is wrong
    if has_mask and not restorer.task.wants_mask:
        raise unwanted_mask(restorer.task.name)
    if workers is None:
        return partial(restore_files, restorer)
    return partial(restore_in_processes, build, workers=workers)


@contextmanager
def sigterm_as_ctrl_c() -> "Iterator[None]":
    """Let SIGTERM, which ends services and jobs of clusters, do what Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def foretell(jobs: "list[Job]", manifest: "Manifest | None", overwrite: bool) -> None:
    """Say what a run would do with each file."""
    from diffir.inference.batch import decide
    from diffir.inference.manifest import known_to

    decisions = [decide(job, known_to(manifest, job), overwrite=overwrite) for job in jobs]
    for job, outcome in zip(jobs, decisions, strict=True):
        if outcome is None:
            say(f"would restore: {job.source} → {job.target}")
        elif outcome.error:
            say(f"would fail: {outcome.error}")
        else:
            say(f"would skip, for {outcome.skipped}: {job.target}")
    failed = sum(1 for outcome in decisions if outcome and outcome.error)
    skipped = sum(1 for outcome in decisions if outcome and outcome.skipped)
    say(f"{len(jobs) - failed - skipped} to restore, {skipped} to skip, {failed} to fail")


def reported(outcomes: "Generator[Outcome, None, None]") -> "list[Outcome]":
    """All outcomes, a line of each printed at once; ended early, they end what makes them."""
    with closing(outcomes) as running:
        seen = []
        for outcome in running:
            report(outcome)
            seen.append(outcome)
        return seen


def tell_plans() -> None:
    """Let what the engine plans for each picture be printed above the bar."""
    from rich.logging import RichHandler

    handler = RichHandler(console=err, show_time=False, show_level=False, show_path=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])


@contextmanager
def files_bar(total: int) -> "Iterator[Callable[[float], None]]":
    """What tells how many files are done, in a bar with the time left if somebody is watching."""
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
        line = f"skipped, for {outcome.skipped} (--overwrite replaces): {job.target}"
    # On a screen both streams are one, and only the bar's own console writes above the bar.
    screen = err if err.is_terminal and out.is_terminal else out
    screen.print(line, soft_wrap=True)


def summarise(outcomes: "list[Outcome]", seconds: float) -> None:
    """A last line for several files; exit code 2 when any failed."""
    failed = sum(1 for outcome in outcomes if outcome.error)
    skipped = sum(1 for outcome in outcomes if outcome.skipped)
    if len(outcomes) > 1:
        restored = len(outcomes) - failed - skipped
        say(
            f"{restored} restored, {skipped} skipped, {failed} failed in {seconds:.1f} s "
            f"({restored / max(seconds, 1e-3):.2f} pictures/s)"
        )
    if failed:
        raise typer.Exit(USER_MISTAKE)
