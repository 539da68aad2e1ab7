"""A plot of a run: losses, rate, scores and IPR over its steps, phase after phase."""

import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from diffir.errors import DiffIRError, PictureError
from diffir.files import write_whole
from diffir.libraries import needed

from .curves import Curve, Span, beginning, curves_of, running_mean, spans_of
from .runs import LOG, facts_of, losses_of, read_log, scores_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colour-blind safe colours, without their yellow, which is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C6D31")
INK, GRAY, FAINT = "#333333", "#777777", "#DDDDDD"
WIDTH, INCHES, DPI = 11, 0.9, 120  # inches across, inches per unit of height, dots per inch
SMOOTHING = 40  # the running mean extends by 1/40 of a phase to either side
NEAR = 0.1  # of the width: phase names that are closer alternate between two heights
NAMED_STEPS = 8  # with more reverse steps, only some are in the legend

Colours: TypeAlias = dict[str, str]
"""The colours of curves by their names."""
Draw: TypeAlias = Callable[["Axes", list[Curve], Colours], None]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One of the plots below each other."""

    title: str
    curves: list[Curve]
    colours: Colours
    height: float
    """Relative to the others."""
    draw: Draw


def plot_run(folder: Path, path: Path) -> None:
    """Plot the log of a run into a PNG, written atomically.

    Raises:
        DiffIRError: when nothing was logged yet, or matplotlib is not installed.
        PictureError: when the path does not end in .png.
        OSError: when the log can't be read or the plot can't be written.
    """
    if path.suffix.lower() != ".png":
        raise PictureError(f"{path} found; a plot is a PNG, so name it .png")
    spans = spans_of(read_log(folder / LOG))
    panels = panels_of(spans)
    if not panels:
        raise DiffIRError(f"{folder} has no reports to plot yet; wait for one or name another run")
    figure = drawn(panels, spans)
    facts = facts_of(folder)
    name = f"{facts[0]}, {folder.resolve().name}" if facts else folder.resolve().name
    figure.suptitle(name, x=0.01, ha="left", weight="bold", color=INK, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    write_whole(buffer.getvalue(), path)


def panels_of(spans: list[Span]) -> list[Panel]:
    """The panels that have curves."""
    losses = curves_of(spans, losses_of)
    signed = {curve.name for curve in losses if curve.values.min() <= 0}  # for example hinge
    above = [curve for curve in losses if curve.name not in signed]
    below = [curve for curve in losses if curve.name in signed]
    rates, scores = curves_of(spans, beginning("rate")), curves_of(spans, scores_of)
    iprs, of_loss = curves_of(spans, beginning("ipr/")), colours_of(losses)
    of_score, of_ipr = {**colours_of(scores), "psnr": INK}, ipr_colours(iprs)
    rows: list[tuple[str, list[Curve], Colours, float, Draw]] = [
        ("losses", above, of_loss, 3.4, draw_losses),
        ("losses that fall below 0", below, of_loss, 2, draw_signed_losses),
        ("learning rate", rates, {"rate": INK}, 1.2, draw_rate),
        ("PSNR of validation, dB", scores, of_score, 2.4, draw_scores),
        ("IPR", iprs, of_ipr, 2.4, draw_ipr),
    ]
    return [
        Panel(title=title, curves=curves, colours=colours, height=height, draw=draw)
        for title, curves, colours, height, draw in rows
        if curves
    ]


def drawn(panels: list[Panel], spans: list[Span]) -> "Figure":
    """The panels on a page. Raises MissingLibraryError where matplotlib is not installed."""
    with needed("train", "plotting"):
        from matplotlib.figure import Figure
    heights = [panel.height for panel in panels]
    size = (WIDTH, 1.2 + INCHES * sum(heights))
    figure = Figure(figsize=size, layout="constrained")  # without pyplot: no window, no state
    grid = {"height_ratios": heights}
    rows = figure.subplots(len(panels), sharex=True, squeeze=False, gridspec_kw=grid)[:, 0]
    for axes, panel in zip(rows, panels, strict=True):
        panel.draw(axes, panel.curves, panel.colours)
        dress(axes, panel.title, spans)
    name_phases(rows[0], spans)
    rows[-1].set_xlabel("step", color=INK)
    return figure


def dress(axes: "Axes", title: str, spans: list[Span]) -> None:
    """Add what all panels have: title, grid, legend, lines between phases."""
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlim(0, max(1, spans[-1].last))
    axes.xaxis.set_major_formatter(lambda step, _: short(step))
    axes.grid(color=FAINT, linewidth=0.6)
    axes.tick_params(which="both", colors=INK, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for span in spans[1:]:
        axes.axvline(span.first, color=GRAY, linewidth=1, linestyle=(0, (4, 3)))
    if axes.get_legend_handles_labels()[0]:
        corner = (1.005, 1.03)
        axes.legend(
            loc="upper left", bbox_to_anchor=corner, borderaxespad=0, frameon=False, fontsize=9
        )


def name_phases(axes: "Axes", spans: list[Span]) -> None:
    """Write the names of the phases above their parts of the axis, without overlap."""
    width, before, raised = max(1, spans[-1].last), -1.0, False
    for span in spans:
        middle = (span.first + span.last) / 2 / width
        raised = middle - before < NEAR and not raised
        axes.annotate(
            span.phase,
            (middle, 1),
            xycoords="axes fraction",
            xytext=(0, 36 if raised else 22),  # above the title of the panel
            textcoords="offset points",
            ha="center",
            color=INK,
            weight="bold",
            parse_math=False,
        )
        before = middle


def draw_losses(axes: "Axes", curves: list[Curve], colours: Colours) -> None:
    """Raw and smoothed curves on a logarithmic axis."""
    axes.set_yscale("log")
    draw_smoothed(axes, curves, colours)


def draw_signed_losses(axes: "Axes", curves: list[Curve], colours: Colours) -> None:
    """Raw and smoothed curves on a linear axis."""
    axes.axhline(0, color=GRAY, linewidth=0.8)
    draw_smoothed(axes, curves, colours)


def draw_smoothed(axes: "Axes", curves: list[Curve], colours: Colours) -> None:
    """The running mean of each curve, with the raw values faint behind it."""
    for curve, label in labelled(curves):
        colour, marker = colours[curve.name], mark(curve)
        mean = running_mean(curve.values, len(curve.values) // SMOOTHING)
        axes.plot(curve.steps, curve.values, color=colour, alpha=0.25, linewidth=0.8)
        axes.plot(curve.steps, mean, color=colour, linewidth=1.8, marker=marker, label=label)


def draw_rate(axes: "Axes", curves: list[Curve], colours: Colours) -> None:
    """The learning rate, from 0."""
    for curve in curves:
        axes.plot(
            curve.steps, curve.values, color=colours[curve.name], linewidth=1.4, marker=mark(curve)
        )
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
    axes.locator_params(axis="y", nbins=4)


def draw_scores(axes: "Axes", curves: list[Curve], colours: Colours) -> None:
    """A curve for each data set; scores with another IPR are dashed."""
    for curve, label in labelled(curves):
        line = "--" if curve.name.startswith("psnr_") else "-"
        draw_dotted(axes, curve, colours[curve.name], line, label.removeprefix("psnr/"))


def draw_ipr(axes: "Axes", curves: list[Curve], colours: Colours) -> None:
    """The distance of Ẑ after each reverse step, later ones darker; other curves dashed."""
    far = max(map(reverse_step, colours))
    for curve, label in labelled(curves):
        number = reverse_step(curve.name)
        named = number in (0, 1, far) or far <= NAMED_STEPS
        text = label.removeprefix("ipr/").replace("_", ", step ") if named else ""
        draw_dotted(axes, curve, colours[curve.name], "-" if number else "--", text)
    axes.set_ylim(bottom=0)


def draw_dotted(axes: "Axes", curve: Curve, colour: str, line: str, label: str) -> None:
    """A curve of validations, with a dot for each."""
    axes.plot(
        curve.steps,
        curve.values,
        color=colour,
        linestyle=line,
        linewidth=1.4,
        marker="o",
        markersize=2.5,
        label=label,
    )


def labelled(curves: Iterable[Curve]) -> Iterator[tuple[Curve, str]]:
    """Each curve with its label, which is empty where an earlier phase's curve has the same."""
    named: set[str] = set()
    for curve in curves:
        yield curve, "" if curve.name in named else curve.name
        named.add(curve.name)


def colours_of(curves: Iterable[Curve]) -> Colours:
    """A colour for each name, the same in all phases."""
    return dict(zip(dict.fromkeys(curve.name for curve in curves), itertools.cycle(COLOURS)))


def ipr_colours(curves: Iterable[Curve]) -> Colours:
    """Colours from light to dark for the distances after each reverse step, ink for others."""
    names = dict.fromkeys(curve.name for curve in curves)
    far = max(map(reverse_step, names), default=0)
    return {name: shade(reverse_step(name), far) if reverse_step(name) else INK for name in names}


def shade(number: int, of: int) -> str:
    """The `number`-th of `of` colours from light to dark blue."""
    light, dark = (158, 202, 225), (8, 48, 107)
    share = (number - 1) / max(1, of - 1)
    mixed = (round(a + (b - a) * share) for a, b in zip(light, dark, strict=True))
    return "#" + "".join(f"{part:02X}" for part in mixed)


def reverse_step(name: str) -> int:
    """The reverse step of a distance, from 1; 0 for other values."""
    match = re.fullmatch(r"ipr/distance_(\d+)", name)
    return int(match[1]) if match else 0


def mark(curve: Curve) -> str:
    """A dot for a curve of a single point, where a line would not show."""
    return "." if len(curve.steps) == 1 else ""


def short(step: float) -> str:
    """`500`, `20k`, `1.5M`."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if step >= size:
            return f"{step / size:g}{unit}"
    return f"{step:g}"
