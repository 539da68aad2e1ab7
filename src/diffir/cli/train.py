"""diffir train: from folders of photos to a weights file."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Annotated, Literal

import typer

from .app import INTERRUPTED, Device, Settings, app, complain, explained, fail, say


@app.command()
@explained
def train(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="A network with a recipe, or a .yaml file (see `diffir recipe`)"
        ),
    ],
    data: Annotated[
        list[str],
        typer.Option(
            help="A folder of photos (searched recursively) or shards, a folder with `gt` and "
            "`lq`, a .txt list, a .yaml of sets, or `dead-leaves`; may be repeated"
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run")],
    settings: Settings = None,
    val: Annotated[
        list[str] | None,
        typer.Option(help="Pictures to validate on, as --data; whole ones, so give a few"),
    ] = None,
    val_every: Annotated[int, typer.Option(min=1, help="Steps between validations")] = 1000,
    device: Device = "auto",
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes that make batches; on a GPU one a core, at most 8"),
    ] = None,
    on_bad: Annotated[
        Literal["skip", "stop"], typer.Option(help="What a picture that can't be learnt from does")
    ] = "skip",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; all if not given")
    ] = None,
) -> None:
    """Train a network: stage 1, then stage 2. The same command goes on where it was stopped."""
    import torch

    from diffir.evaluation.validate import validator
    from diffir.inference.devices import pick_device
    from diffir.presets import PRESETS, choose
    from diffir.training.build import recipe_of, train_preset
    from diffir.training.loop import StoppedError

    preset = choose(PRESETS, name, settings or [])
    if output.exists() and not output.is_dir():
        raise fail(f"{output} is a file; name a folder for the run")
    if threads:
        torch.set_num_threads(threads)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    chosen = pick_device(device)
    if workers is None:  # on a CPU they would take from the training what they give
        workers = 0 if chosen.type == "cpu" else min(os.cpu_count() or 1, 8)
    validate = None
    if val:
        validate = validator(val, recipe_of(preset).degradation, preset.config.scale)
    try:
        with asked_to_stop() as stop:
            weights = train_preset(
                preset,
                data,
                output,
                device=chosen,
                workers=workers,
                on_bad=on_bad,
                stop=stop,
                validate=validate,
                validate_every=val_every,
            )
    except StoppedError as stopped:
        complain("stopped:", str(stopped))
        raise typer.Exit(INTERRUPTED) from stopped
    say(f"trained weights: {weights}")


@contextmanager
def asked_to_stop() -> Iterator[Event]:
    """What the first Ctrl-C or SIGTERM sets; a second one acts as ever."""
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
