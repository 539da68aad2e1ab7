"""diffir data check: find what is wrong with pictures before training on them."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.table import Table

from diffir.cli.app import USER_MISTAKE, complain, counted, explained, fail, out, say, watched

from .app import data

if TYPE_CHECKING:
    from diffir.data.check import Finding

T = TypeVar("T")

SHOWN = 20  # messages of each kind: sometimes every picture of a set has the same problem


@data.command()
@explained
def check(
    sources: Annotated[
        list[str], typer.Argument(metavar="DATA...", help="As for `diffir train --data`")
    ],
    lq: Annotated[
        Path | None, typer.Option(help="Folder of LQ; DATA is then the one folder of GT")
    ] = None,
    lq_name: Annotated[
        str, typer.Option(help="Name of LQ, where {} is that of GT, such as {}x4")
    ] = "{}",
    scale: Annotated[int, typer.Option(min=1, help="Factor by which GT is larger than LQ")] = 1,
    crop: Annotated[int, typer.Option(min=0, help="Side of GT's crops, in pixels")] = 0,
    masks: Annotated[
        list[Path] | None, typer.Option(help="Masks, or folders of them, to check too")
    ] = None,
    report: Annotated[Path | None, typer.Option("--json", help="A file for all findings")] = None,
) -> None:
    """Decode every picture, and list what training would fail on.

    Unreadable, too small, unpaired or duplicate pictures, pairs whose sizes do not match, masks
    that are empty or mostly hole: exit code 2. Pictures that training converts (grey, alpha, CMYK,
    16 bit) are only counted.
    """
    from diffir.data.check import check as check_sets
    from diffir.data.check import check_masks
    from diffir.data.sets import PairSet, data_sets
    from diffir.files import write_whole

    sets = data_sets(sources)
    if lq is not None:
        if len(sources) != 1:
            raise fail(f"{len(sources)} folders and --lq found; give the one folder of GT")
        sets = [PairSet(gt=Path(sources[0]), lq=lq, lq_name=lq_name)]
    counts: list[int] = []

    def counting(items: Iterable[T], what: str, total: int) -> Iterable[T]:
        counts.append(total)
        return watched(items, what, total)

    findings = check_sets(sets, scale=scale, crop=crop, watch=counting)
    findings += check_masks(masks or [])
    tell(findings)
    say(f"{counted(counts[0], 'picture')} checked" + ("" if findings else ", nothing found"))
    if report:
        text = json.dumps([asdict(finding) for finding in findings], indent=1, ensure_ascii=False)
        write_whole(text.encode(errors="backslashreplace"), report)
    if any(finding.is_problem for finding in findings):
        raise typer.Exit(USER_MISTAKE)


def tell(findings: "list[Finding]") -> None:
    """Print a line per problem, up to `SHOWN` of each kind, then a table of counts."""
    seen = Counter[str]()
    for finding in findings:
        if finding.is_problem:
            seen[finding.kind] += 1
            if seen[finding.kind] <= SHOWN:
                complain(f"{finding.kind}:", finding.message)
    for kind, count in seen.items():
        if count > SHOWN:
            complain(f"{kind}:", f"{count - SHOWN} more, listed by --json")
    if not findings:
        return
    table = Table("found", "pictures", "", box=None)
    for (kind, is_problem), count in Counter((f.kind, f.is_problem) for f in findings).items():
        table.add_row(kind, str(count), "problem" if is_problem else "converted in training")
    out.print(table)
