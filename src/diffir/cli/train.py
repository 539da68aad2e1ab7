"""diffir train: from folders of photos to a weights file."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .app import INTERRUPTED, Device, Settings, app, complain, explained, fail, say

if TYPE_CHECKING:
    from diffir.training.order import Order


@app.command()
@explained
def train(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE", help="A network with a recipe, or a .yaml file (see `diffir recipe`)"
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="A folder of photos (searched recursively) or shards, a folder with `gt` and "
            "`lq` or `sharp` and `blur`, a .txt list, a .yaml of sets, or `dead-leaves`; may be "
            "repeated"
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder of the run")] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Continue the run in this folder, with its recipe and data"),
    ] = None,
    settings: Settings = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="MODEL", help="Weights to start from")
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="Stage-1 weights, for a recipe without stage 1")
    ] = None,
    val: Annotated[
        list[str] | None,
        typer.Option(help="Validation pictures, given like --data; used whole, so give a few"),
    ] = None,
    val_every: Annotated[int, typer.Option(min=1, help="Steps between validations")] = 1000,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between saved states")] = 250,
    device: Device = "auto",
    devices: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes that share a batch, one GPU each; default: as torchrun says"
        ),
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Computers that share a batch")] = 1,
    shard: Annotated[
        bool, typer.Option(help="Also shard weights, optimizer state and EMA (FSDP2): less memory")
    ] = False,
    accumulate: Annotated[
        int,
        typer.Option(min=1, help="Parts a batch is split into, one after the other: less memory"),
    ] = 1,
    recompute: Annotated[
        bool, typer.Option(help="Gradient checkpointing: less memory, slower")
    ] = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Use torch.compile: minutes to start, then faster")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes that make batches; default: 0 on a CPU, else one per core, at most 8",
        ),
    ] = None,
    on_bad: Annotated[
        Literal["skip", "stop"], typer.Option(help="What to do with an unusable picture")
    ] = "skip",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all")] = None,
) -> None:
    """Train a network: stage 1, then stage 2. The same command continues a stopped run."""
    import torch

    from diffir.evaluation.validate import validator
    from diffir.inference.devices import pick_device
    from diffir.training.fabric import opened_fabric

    order = asked_order(name, data, output, resume, settings, val=val, start=start, teacher=teacher)
    if order.folder.exists() and not order.folder.is_dir():
        raise fail(f"{order.folder} is a file; name a folder for the run")
    if shard and compiled:
        raise fail("--shard and --compile do not work together; leave one out")
    if threads:
        torch.set_num_threads(threads)
    chosen = pick_device(device)
    fabric = opened_fabric(chosen, devices, nodes, shard=shard)
    logging.basicConfig(
        level=logging.INFO if fabric.global_rank == 0 else logging.ERROR,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
    )

    from diffir.errors import StoppedError
    from diffir.training.beginning import recipe_of
    from diffir.training.build import train as train_as
    from diffir.training.run import Run

    if workers is None:  # on a CPU, they would compete with the training for cores
        workers = 0 if chosen.type == "cpu" else min(os.cpu_count() or 1, 8)
    validate = None
    if order.val:
        degradation = recipe_of(order.preset).degradation
        validate = validator(order.val, degradation, order.preset.config.scale)
    try:
        with asked_to_stop() as stop:
            run = Run(
                folder=order.folder,
                fabric=fabric,
                save_every=save_every,
                validate=validate,
                validate_every=val_every,
                accumulate=accumulate,
                compiled=compiled,
                stop=stop,
            )
            written = train_as(order, run, workers=workers, on_bad=on_bad, recompute=recompute)
    except StoppedError as stopped:
        complain("stopped:", str(stopped))
        raise typer.Exit(INTERRUPTED) from stopped
    if fabric.global_rank == 0:
        say(f"trained weights: {written}")


def asked_order(
    name: str | None,
    data: list[str] | None,
    output: Path | None,
    resume: Path | None,
    settings: list[str] | None,
    *,
    val: list[str] | None,
    start: str | None,
    teacher: Path | None,
) -> "Order":
    """A new training, or the one in a folder to resume."""
    from diffir.training.order import order_of, order_of_run

    if resume is not None:
        if name or data or output or settings or start or teacher or val:
            raise fail("--resume takes the recipe, data and networks from the run; leave them out")
        return order_of_run(resume)
    if not (name and data and output):
        raise fail("give RECIPE, --data and -o, or --resume and the folder of a run")
    return order_of(
        name,
        settings or [],
        data=tuple(data),
        folder=output,
        val=tuple(val or ()),
        start=start,
        teacher=str(teacher) if teacher else None,
    )


@contextmanager
def asked_to_stop() -> Iterator[Event]:
    """An event set by the first Ctrl-C or SIGTERM; a second one acts as usual."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
