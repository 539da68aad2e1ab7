"""diffir find-rate: a learning-rate range test before a long training."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from .app import Device, Settings, app, explained, say

LINES = 12  # printed of the curve


@app.command("find-rate")
@explained
def find_rate(
    name: Annotated[str, typer.Argument(metavar="RECIPE", help="As for `diffir train`")],
    data: Annotated[list[str], typer.Option(help="As for `diffir train`; may be repeated")],
    phase: Annotated[str, typer.Option(help="stage1, prior, joint or finetune")] = "stage1",
    settings: Settings = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="MODEL", help="As for `diffir train`")
    ] = None,
    teacher: Annotated[Path | None, typer.Option(help="As for `diffir train`")] = None,
    low: Annotated[float, typer.Option(help="Lowest learning rate")] = 1e-6,
    high: Annotated[float, typer.Option(help="Highest learning rate")] = 1e-1,
    steps: Annotated[int, typer.Option(help="Steps from the lowest to the highest")] = 100,
    device: Device = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads")] = None,
) -> None:
    """Train for some steps at a growing learning rate, and report where the loss is lowest."""
    import torch

    from diffir.inference.devices import pick_device
    from diffir.training.fabric import opened_fabric
    from diffir.training.order import order_of

    if threads:
        torch.set_num_threads(threads)
    fabric = opened_fabric(pick_device(device))

    from diffir.training.rate_range import rate_range_of
    from diffir.training.run import Run

    with TemporaryDirectory() as place:
        order = order_of(
            name,
            settings or [],
            data=tuple(data),
            folder=Path(place),
            start=start,
            teacher=str(teacher) if teacher else None,
        )
        run = Run(folder=order.folder, fabric=fabric)
        found = rate_range_of(order, phase, run, low=low, high=high, steps=steps)
    every = max(1, len(found.rates) // LINES)
    for rate, loss in [*zip(found.rates, found.losses, strict=True)][::every]:
        say(f"rate {rate:.1e}  loss {loss:.5f}")
    if found.turning is None or found.suggested is None:
        say(
            "the loss only rises, so no rate is suggested; "
            "lower --low, or use a larger batch or more --steps"
        )
    else:
        say(
            f"the loss is lowest at {found.turning:.1e}; a rate of {found.suggested:.1e} keeps a "
            f"margin (--set {phase}.learning_rate={found.suggested:.1e})"
        )
