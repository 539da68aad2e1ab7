"""diffir cost: parameters, multiply-adds, seconds and memory of networks."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .app import Device, app, explained, out, say, watched
from .data.masks import sides

if TYPE_CHECKING:
    from diffir.evaluation.cost import Cost


@app.command()
@explained
def cost(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Names from `diffir models`, or weights files"),
    ],
    size: Annotated[
        str, typer.Option(help="Input size in pixels, 256 or 640x480 (width first)")
    ] = "256x256",
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
) -> None:
    """Count parameters and multiply-adds; measure seconds and peak memory on this machine."""
    from diffir.evaluation import cost as costs

    asked = sides(size)
    found = {
        model: costs.cost(model, asked, device=device)
        for model in watched(models, "measuring", len(models))
    }
    if as_json:
        tell_json(found, asked)
    else:
        tell(found, asked)


def tell(found: "dict[str, Cost]", size: tuple[int, int]) -> None:
    """Print a table."""
    table = Table("model", "parameters", "multiply-adds", "seconds", "peak memory", box=None)
    for model, cost in found.items():
        memory = "unknown" if cost.peak_memory is None else f"{cost.peak_memory / 1e6:,.0f} MB"
        table.add_row(
            model,
            f"{cost.parameters / 1e6:.1f} M",
            f"{cost.multiply_adds / 1e9:,.1f} G",
            f"{cost.seconds:.2f}",
            memory,
        )
    out.print(table)
    places = sorted({cost.where for cost in found.values()})
    say(f"one picture of {size[0]}×{size[1]}; {'; '.join(places)}")


def tell_json(found: "dict[str, Cost]", size: tuple[int, int]) -> None:
    """Print a JSON list with one object per model."""
    import json
    from dataclasses import asdict

    rows = [{"model": model, "size": size, **asdict(cost)} for model, cost in found.items()]
    say(json.dumps(rows, indent=2))
