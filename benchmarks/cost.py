"""What DiffIR costs beside the networks that its paper compares with, and the paper's claims on it.

    make peers && .venv-peers/bin/python benchmarks/cost.py

Every network is built with its published sizes and random weights, and counted, not run:
parameters, and multiply-adds by torch's counter, for one picture. Whatever no kept package offers
is a number that the paper cites, and marked so.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from peers import diffusion, restoration
from peers.part import Peer
from published_costs import CLAIMS, PUBLISHED_COSTS, Claim

from diffir.evaluation.cost import count
from diffir.presets import PRESETS

CITED = "**cited** from the paper"
STEPS = (50, 100, 200)  # of LDM; the paper does not say how many it counted
NEAR = 0.05  # a share within 5 % of the claimed one confirms it
NOT_AVAILABLE = {
    "sr": "SFTGAN, SRGAN, USRGAN, SPSR, SRDiff",
    "deblur": "MIMO-UNet+",
    "inpaint": "ICT",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method at one size."""

    task: str
    side: int
    method: str
    parameters: float | None
    multiply_adds: float | None
    source: str


def ours(preset: str, side: int) -> Row:
    """A published DiffIR."""
    return Row(
        task=PRESETS[preset].task.name,
        side=side,
        method=f"DiffIR (`{preset}`)",
        parameters=PRESETS[preset].parameters,
        multiply_adds=count(PRESETS[preset].config, (side, side)),
        source="this package",
    )


def counted(task: str, side: int, peer: Peer) -> Row:
    """A network from a package."""
    parameters, products = peer.cost()
    return Row(
        task=task,
        side=side,
        method=peer.method,
        parameters=parameters,
        multiply_adds=products,
        source=peer.source,
    )


def cited(task: str, side: int) -> list[Row]:
    """What the paper says."""
    return [
        Row(
            task=task,
            side=side,
            method=cost.method,
            parameters=cost.parameters,
            multiply_adds=cost.multiply_adds,
            source=CITED,
        )
        for cost in PUBLISHED_COSTS
        if cost.task == task
    ]


def all_rows() -> list[Row]:
    """The tables: every task, ours first."""
    rows = [ours("deblur", 256)]
    rows += [counted("deblur", 256, peer) for peer in restoration.DEBLURRING]
    for side in (64, 256):
        peers = (*restoration.super_resolution(side), *diffusion.super_resolution(side, STEPS))
        rows += [ours("sr-x4", side), *(counted("sr", side, peer) for peer in peers)]
    rows += [*cited("sr", 256), ours("inpaint", 256), ours("inpaint-big", 256)]
    peers = (*restoration.INPAINTING, *diffusion.inpainting(STEPS))
    return [*rows, *(counted("inpaint", 256, peer) for peer in peers), *cited("inpaint", 256)]


def text(value: float | None, unit: str) -> str:
    """A number in `M` or in `G` or `T`, to four digits."""
    if value is None:
        return "–"
    unit = "T" if unit == "G" and value >= 1e12 else unit
    return f"{value / {'M': 1e6, 'G': 1e9, 'T': 1e12}[unit]:.4g} {unit}"


def percent(share: float) -> str:
    """A share to three digits."""
    return f"{100 * share:.3g} %"


def own_row(rows: list[Row], row: Row) -> Row:
    """DiffIR at the task and size of a row."""
    return next(own for own in rows if (own.task, own.side) == (row.task, row.side))


def cells(*words: str) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(words)} |"


def table(rows: list[Row]) -> Iterator[str]:
    """The costs, and which share of a row's multiply-adds DiffIR takes at that task and size."""
    yield cells("task", "LQ", "method", "parameters", "multiply-adds", "DiffIR's share", "source")
    yield cells(*["---"] * 7)
    for row in rows:
        own = own_row(rows, row).multiply_adds
        yield cells(
            row.task,
            f"{row.side}×{row.side}",
            row.method,
            text(row.parameters, "M"),
            text(row.multiply_adds, "G"),
            percent(own / row.multiply_adds) if own and row.multiply_adds else "–",
            row.source,
        )


def verdict(claim: Claim, share: float) -> str:
    """What a counted share says about the claimed one."""
    if abs(share / claim.share - 1) <= NEAR:
        return f"holds within {NEAR:.0%}".replace("%", " %")
    return "holds: it is less" if share < claim.share else "does not hold"


def claims(rows: list[Row]) -> Iterator[str]:
    """Every claim of the paper beside what was counted, at each size and number of steps."""
    yield cells("task", "LQ", "DiffIR's share of", "in", "paper", "here", "verdict", "of a number")
    yield cells(*["---"] * 8)
    for claim in CLAIMS:
        field, seen = claim.quantity.replace("-", "_"), set()
        for row in rows:
            cost = getattr(row, field)
            fits = row.task == claim.task and claim.rival in row.method and cost is not None
            if not fits or (claim.quantity == "parameters" and cost in seen):
                continue
            seen.add(cost)
            share = getattr(own_row(rows, row), field) / cost
            yield cells(
                claim.task,
                f"{row.side}×{row.side}",
                row.method,
                claim.quantity,
                percent(claim.share),
                percent(share),
                verdict(claim, share),
                "cited" if row.source == CITED else "counted",
            )


def main() -> None:
    """Print both tables, and what is missing."""
    rows = all_rows()
    print(*table(rows), sep="\n", end="\n\n")
    for task, methods in NOT_AVAILABLE.items():
        print(f"Not counted ({task}), as these packages lack the network: {methods}.")
    print(*["", *claims(rows)], sep="\n")


if __name__ == "__main__":
    main()
