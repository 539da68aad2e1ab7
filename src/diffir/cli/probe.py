"""diffir probe: what a network's prior encodes, and what it is worth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .app import Seed, app, explained, fail, out, say, watched

if TYPE_CHECKING:
    from diffir.evaluation.probe_report import ProbeReport


@app.command()
@explained
def probe(
    model: Annotated[
        str, typer.Argument(help="A name from `diffir models`, or a weights file, of stage 2")
    ],
    data: Annotated[str, typer.Option(help="Photos, from which LQ is made, or pairs; at least 3")],
    stage1: Annotated[
        str | None, typer.Option(help="The stage-1 file of the same run: adds the true Z")
    ] = None,
    degradation: Annotated[
        str | None,
        typer.Option(help="How LQ is made from photos; default: as in training"),
    ] = None,
    seed: Seed = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A .json file for all numbers")
    ] = None,
) -> None:
    """Report what the prior Z encodes of a picture, and how much the network gains by it."""
    if output is not None:
        require_json(output)
    from diffir.evaluation.probe import probe as ask

    report = ask(model, data, stage1=stage1, degradation=degradation, seed=seed, watch=watched)
    show(report)
    if output is not None:
        write(report, output)
        say(f"→ {output}")


def require_json(output: Path) -> None:
    """Refuse an output that can't be written, before computing anything."""
    from diffir.inference.jobs import require_writable

    if output.suffix.lower() != ".json":
        raise fail(f"{output} found; the report is JSON, so name it .json")
    require_writable(output.parent)
    if output.exists():
        raise fail(f"{output} exists; choose another name")


def write(report: "ProbeReport", output: Path) -> None:
    """Write all numbers as JSON, those that are not finite as text."""
    import json
    from dataclasses import asdict

    from diffir.evaluation.report import finite
    from diffir.files import write_whole

    output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(finite(asdict(report)), indent=1, ensure_ascii=False)
    write_whole(text.encode(errors="backslashreplace"), output)


def show(report: "ProbeReport") -> None:
    """Print a table for each question."""
    say(
        f"{report.pictures} pictures of {report.data}; LQ: {report.degradation}, seed {report.seed}"
    )
    for note in report.notes:
        say(note)
    for question, answer in (
        ("What is Z worth? PSNR in dB, and how far from the network as it is.", scores(report)),
        ("How far does Z differ between pictures? Standard deviation over size.", spreads(report)),
        (
            "What does Z tell about how LQ was made? R² of ridge regression (1 all, 0 nothing), in "
            "brackets with shuffled facts.",
            facts(report),
        ),
        (
            "How far does Z move the blocks? Standard deviation over pictures over mean size.",
            modulation(report),
        ),
        (f"How does the chain approach the {report.steps_lead_to}? Mean distance.", steps(report)),
    ):
        if answer.row_count:
            say(f"\n{question}")
            out.print(answer)


def scores(report: "ProbeReport") -> Table:
    """One row per Z."""
    table = Table("restorer", "with", "PSNR", "difference", "± error", box=None)
    for row in report.scores:
        apart = (
            (f"{row.difference:+.3f}", f"{row.error:.3f}") if row is not report.scores[0] else ()
        )
        table.add_row(row.restorer, row.ipr, f"{row.psnr:.3f}", *apart)
    return table


def spreads(report: "ProbeReport") -> Table:
    """One row per Z, with quantiles over its elements."""
    table = Table("Z", "all", "lowest tenth", "median", "highest tenth", "effective rank", box=None)
    for row in report.spreads:
        cells = (f"{value:.3f}" for value in (row.relative, *row.quantiles))
        table.add_row(row.ipr, *cells, f"{row.rank:.1f} of {report.pictures - 1}")
    return table


def facts(report: "ProbeReport") -> Table:
    """One row per fact."""
    names = [*report.facts[0].readings] if report.facts else []
    table = Table("fact", "pictures", *(f"from the {name}" for name in names), box=None)
    for row in report.facts:
        cells = (
            f"{found.r2:.2f} ({found.shuffled:.2f} ± {found.shuffled_std:.2f})"
            for found in row.readings.values()
        )
        table.add_row(row.fact, str(row.pictures), *cells)
    return table


def modulation(report: "ProbeReport") -> Table:
    """One row per level."""
    table = Table("blocks", "scale", "shift", box=None)
    for row in report.modulation:
        table.add_row(row.level, f"{row.scale:.3f}", f"{row.shift:.3f}")
    return table


def steps(report: "ProbeReport") -> Table:
    """One row per step."""
    table = Table("after step", "distance", "over mean |Z|", box=None)
    for row in report.steps:
        table.add_row(str(row.step), f"{row.distance:.4f}", f"{row.relative:.3f}")
    if other := report.other_noise:
        table.add_row("with other noise, to Ẑ", f"{other.distance:.4f}", f"{other.relative:.3f}")
    return table
