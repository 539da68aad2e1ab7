"""diffir export: a network as a file for other runtimes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .app import Overwrite, app, err, explained, require_free, say

if TYPE_CHECKING:
    from diffir.export.check import Row


@app.command()
@explained
def export(
    model: Annotated[str, typer.Argument(help="A name from `diffir models`, or a weights file")],
    to: Annotated[Literal["onnx", "openvino", "torch"], typer.Option(help="The format")] = "onnx",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The file; default: MODEL's name with .onnx, .xml or .pt2"
        ),
    ] = None,
    precision: Annotated[
        Literal["float32", "float16", "int8"],
        typer.Option(help="float16 and int8 are smaller and less accurate"),
    ] = "float32",
    calibrate: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="For int8: pictures like those to restore"),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Export a network for ONNX Runtime, OpenVINO or torch, and compare it with the original.

    It takes pictures of any size (padding is built in); noise and mask are inputs (docs/export.md).
    """
    from diffir.export import SUFFIXES
    from diffir.export import export as export_file
    from diffir.inference.jobs import require_writable

    path = output or Path(default_name(model, precision) + SUFFIXES[to])
    require_writable(path.parent)
    for file in (path, *([path.with_suffix(".bin")] if to == "openvino" else [])):
        require_free(file, overwrite)
    with err.status("exporting; this takes half a minute to a few minutes"):
        report = export_file(model, path, to, precision=precision, photos=calibrate)
    facts = report.facts
    say(
        f"{path}: {facts.task} ×{facts.scale}, {facts.precision}, {report.size / 1e6:.1f} MB; "
        "against the plain network:"
    )
    for line in table(report.rows):
        say(line)


def default_name(model: str, precision: str) -> str:
    """The name of the weights, with the precision where it is not the usual."""
    name = Path(model).stem if Path(model).suffix else Path(model).name
    return name if precision == "float32" else f"{name}-{precision}"


def table(rows: "list[Row]") -> list[str]:
    """The comparisons, a line each."""
    width = max(len("input"), *(len(row.inputs) for row in rows))
    lines = [f"{'input':{width}}  batch  {'size':>9}  largest difference      PSNR"]
    for row in rows:
        size = f"{row.width}×{row.height}"
        lines.append(
            f"{row.inputs:{width}}  {row.batch:5}  {size:>9}  {row.difference:18.1e}  "
            f"{row.psnr:5.1f} dB"
        )
    return lines
