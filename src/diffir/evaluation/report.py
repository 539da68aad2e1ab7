"""Reports: an evaluation as Markdown, CSV or JSON; HTML is in `page`."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from diffir.data.settings import Values
from diffir.errors import DataError
from diffir.files import write_whole

from .metrics import METRICS
from .page import page
from .published import beside
from .summary import CONFIDENCE, Mean, Report

IN_TERMINAL = 3  # worst pictures that are listed


def number(metric: str, value: float) -> str:
    """Rounded as in papers: PSNR and NIQE to two decimals, others to four."""
    return f"{value:.2f}" if metric.startswith(("psnr", "niqe")) else f"{value:.4f}"


def mean(metric: str, found: Mean | None) -> str:
    """`30.60 [28.14, 33.02]`."""
    if found is None:
        return ""
    if found.low is None or found.high is None:
        return number(metric, found.value)
    return (
        f"{number(metric, found.value)} [{number(metric, found.low)}, {number(metric, found.high)}]"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    cells = [
        list(heads),
        ["---"] * len(heads),
        *([in_a_cell(text) for text in row] for row in rows),
    ]
    return [f"| {' | '.join(row)} |" for row in cells]


def in_a_cell(text: str) -> str:
    """A text, such as a file name, escaped for a Markdown cell."""
    return " ".join(text.replace("|", "\\|").splitlines())


def mean_rows(report: Report) -> tuple[list[str], list[list[str]]]:
    """The table of means: one row per method, the paper's below."""
    metrics = report.plan.metrics
    total = len(report.plan.cases)
    rows = []
    for name in report.methods:
        whole, seconds = len(report.of(name)), report.seconds(name)
        means = [mean(metric, report.means[name].get(metric)) for metric in metrics]
        pictures = f"{whole}" if whole == total else f"{whole} of {total}"
        rows.append([name, pictures, *means, "" if seconds is None else f"{seconds:.2f}"])
    return ["method", "pictures", *metrics, "seconds"], rows + paper_rows(report)


def paper_rows(report: Report) -> list[list[str]]:
    """The paper's scores in the table's metrics, as rows, best last."""
    methods = dict.fromkeys(row.method for row in report.published)
    rows = []
    for method in methods:
        own = [row for row in report.published if row.method == method]
        cells = []
        for metric in report.plan.metrics:
            known = [row for row in own if row in beside(row.benchmark, metric)]
            cells.append(number(metric, known[0].value) if known else "")
        rows.append([f"{method} (paper)", "", *cells, ""])
    return rows


def picture_rows(report: Report) -> tuple[list[str], list[list[str]]]:
    """The table of all pictures, worst first."""
    metrics = [name for name in report.plan.metrics if not METRICS[name].of_sets]
    rows = []
    for row in report.rows:
        cells = [number(name, row.scores[name]) if row.scores else "" for name in metrics]
        seconds = "" if row.seconds is None else f"{row.seconds:.2f}"
        rows.append([row.picture, row.method, *cells, seconds, row.error])
    return ["picture", "method", *metrics, "seconds", "error"], rows


def means_table(report: Report) -> str:
    """The table of means in Markdown."""
    return "\n".join(table(*mean_rows(report)))


def facts(report: Report) -> list[str]:
    """Sentences on how the scores were made."""
    plan, name = report.plan, report.benchmark or "data"
    border = f"; PSNR and SSIM without a border of {plan.border} pixels" if plan.border else ""
    sentences = [
        f"{name}: {report.data}, {len(plan.cases)} pictures in 8 bits{border}",
        f"in brackets: {CONFIDENCE} % confidence interval, bootstrap over pictures, "
        f"seed {plan.seed}",
        *report.notes,
    ]
    protocols = dict.fromkeys(row.protocol for row in report.published)
    return sentences + [f"the paper: {protocol}" for protocol in protocols]


def worst(report: Report) -> str | None:
    """One line on the worst pictures of the first method; None if no metric ranks them."""
    metrics = [name for name in report.plan.metrics if not METRICS[name].of_sets]
    rows = report.of(report.methods[0])[:IN_TERMINAL]
    if not metrics or len(rows) < IN_TERMINAL:
        return None
    named = (f"{row.picture} {number(metrics[0], row.scores[metrics[0]])}" for row in rows)
    return f"worst {metrics[0]} of {report.methods[0]}: {', '.join(named)}"


def title_of(report: Report) -> str:
    """The name of the benchmark or of the data, resolved for `.`."""
    return report.benchmark or Path(report.data).resolve().name


def as_markdown(report: Report) -> str:
    """Means, how they were made, and all pictures."""
    lines = [
        f"# {title_of(report)}",
        "",
        *table(*mean_rows(report)),
        "",
        *(f"- {sentence}" for sentence in facts(report)),
        "",
        "## Pictures, worst first",
        "",
        *table(*picture_rows(report)),
    ]
    return "\n".join(lines) + "\n"


def as_csv(report: Report) -> str:
    """One line per picture and method, with all digits."""
    metrics = [name for name in report.plan.metrics if not METRICS[name].of_sets]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", "method", *metrics, "seconds", "error"])
    for row in report.rows:
        scores = [row.scores.get(name, "") for name in metrics]
        writer.writerow([row.picture, row.method, *scores, row.seconds, row.error])
    return text.getvalue()


def as_json(report: Report) -> str:
    """Everything except the crops; infinity and NaN, which JSON lacks, are texts."""
    plan = report.plan
    value = {
        "data": report.data,
        "benchmark": report.benchmark,
        "metrics": plan.metrics,
        "border": plan.border,
        "scale": plan.scale,
        "degradation": settings(plan.degradation),
        "seed": plan.seed,
        "notes": report.notes,
        "methods": [
            {
                "method": name,
                "pictures": len(report.of(name)),
                "means": {metric: vars(found) for metric, found in report.means[name].items()},
                "seconds": report.seconds(name),
            }
            for name in report.methods
        ],
        "paper": [vars(row) for row in report.published],
        "rows": [vars(row) for row in report.rows],
    }
    return json.dumps(finite(value), indent=2, ensure_ascii=False) + "\n"


def settings(degradation: Any) -> Any:
    """The settings of a degradation as in recipes."""
    return degradation.model_dump(mode="json") if isinstance(degradation, Values) else None


def finite(value: Any) -> Any:
    """The value with `inf` and `nan` as texts, at any depth."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


def as_html(report: Report) -> str:
    """A self-contained page."""
    return page(
        title_of(report), facts(report), mean_rows(report), picture_rows(report), report.views
    )


FORMATS: dict[str, Callable[[Report], str]] = {
    ".html": as_html,
    ".json": as_json,
    ".csv": as_csv,
    ".md": as_markdown,
}
"""By suffix."""


def require_format(path: Path) -> None:
    """Raise DataError for a report whose suffix is not in `FORMATS`."""
    if path.suffix.lower() not in FORMATS:
        raise DataError(f"{path} does not have the suffix of a report; use {', '.join(FORMATS)}")


def write_report(report: Report, path: Path) -> None:
    """Write a report atomically, in the format of its suffix.

    Raises:
        DataError: as `require_format`.
        OSError: when it can't be written.
    """
    require_format(path)
    write_whole(FORMATS[path.suffix.lower()](report).encode(errors="backslashreplace"), path)
