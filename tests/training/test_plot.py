"""The curves of a run: all that was told, each phase behind the one before."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from diffir.errors import DiffIRError, MissingLibraryError, PictureError
from diffir.training.curves import curves_of, running_mean, spans_of
from diffir.training.plot import drawn, panels_of, plot_run
from diffir.training.runs import losses_of


def report(phase: str, step: int, **values: float) -> dict[str, Any]:
    return {"phase": phase, "step": step, "rate": 1e-3, **values}


def validation(phase: str, step: int) -> dict[str, Any]:
    iprs = {"ipr/distance_1": 0.5, "ipr/distance_2": 0.25, "ipr/spread": 0.75}
    scores = {"psnr/a": 29.0, "psnr/b": 31.0, "psnr": 30.0, "psnr_true": 32.0}
    return {"phase": phase, "step": step, **scores, **iprs}


LINES = [
    report("stage1", 50, pixel_l1=0.5),
    report("stage1", 100, pixel_l1=0.25),
    report("prior", 50, ipr_l1=0.5),
    report("finetune", 10, pixel_l1=0.125, adversarial=-0.5),
    report("finetune", 20, pixel_l1=0.125, adversarial=0.5),
    validation("finetune", 20),
]


def figure_of(lines: list[dict[str, Any]]) -> Any:
    spans = spans_of(lines)
    return drawn(panels_of(spans), spans)


def in_legend(axes: Any) -> list[str]:
    return axes.get_legend_handles_labels()[1]


def test_the_phases_follow_each_other_on_one_axis_of_steps() -> None:
    spans = spans_of(reversed(LINES))
    ends = [(span.phase, span.first, span.last) for span in spans]
    assert ends == [("stage1", 0, 100), ("prior", 100, 150), ("finetune", 150, 170)]
    curves = curves_of(spans, losses_of)
    pixels = [curve for curve in curves if curve.name == "pixel_l1"]
    assert [curve.steps.tolist() for curve in pixels] == [[50, 100], [160, 170]]
    assert [curve.values.tolist() for curve in pixels] == [[0.5, 0.25], [0.125, 0.125]]


def test_there_is_a_panel_for_each_kind_of_value() -> None:
    axes = figure_of(LINES).axes
    assert [a.get_title("left") for a in axes] == [
        "losses",
        "losses that fall below 0",
        "learning rate",
        "PSNR of validation, dB",
        "IPR",
    ]
    assert [a.get_yscale() for a in axes] == ["log", *["linear"] * 4]
    assert in_legend(axes[0]) == ["pixel_l1", "ipr_l1"]  # each once, whatever the phases
    assert in_legend(axes[1]) == ["adversarial"]
    assert in_legend(axes[3]) == ["a", "b", "psnr", "psnr_true"]
    assert in_legend(axes[4]) == ["distance, step 1", "distance, step 2", "spread"]


def test_a_loss_has_its_colour_to_itself_in_all_phases() -> None:
    losses, signed, *_ = figure_of(LINES).axes
    drawn_lines = [line for axes in (losses, signed) for line in axes.lines if line.get_label()]
    colours = {line.get_label(): line.get_color() for line in drawn_lines}
    named = [colours[name] for name in ("pixel_l1", "ipr_l1", "adversarial")]
    assert len({*named}) == 3
    finetune = [line for line in losses.lines if line.get_xdata()[-1] == 170]
    assert {line.get_color() for line in finetune} == {colours["pixel_l1"]}


def test_a_line_stands_between_phases_and_their_names_above() -> None:
    figure = figure_of(LINES)
    for axes in figure.axes:
        upright = [line.get_xdata()[0] for line in axes.lines if [*line.get_ydata()] == [0, 1]]
        assert upright == [100, 150]
        assert axes.get_xlim() == (0, 170)
    names = [text.get_text() for text in figure.axes[0].texts]
    assert names == ["stage1", "prior", "finetune"]


def test_names_of_phases_that_would_touch_stand_at_two_heights() -> None:
    lengths = {"stage1": 30, "prior": 20, "joint": 1000}
    texts = figure_of([report(phase, last) for phase, last in lengths.items()]).axes[0].texts
    first, second, third = (text.xyann[1] for text in texts)
    assert second > first == third


def test_panels_without_values_are_left_out() -> None:
    titles = [axes.get_title("left") for axes in figure_of(LINES[:2]).axes]
    assert titles == ["losses", "learning rate"]


def test_of_a_thousand_reverse_steps_the_first_and_the_last_are_named() -> None:
    steps = {f"ipr/distance_{number}": 1 / number for number in range(1, 1001)}
    (axes,) = figure_of([{"phase": "joint", "step": 1, **steps}]).axes
    assert in_legend(axes) == ["distance, step 1", "distance, step 1000"]


def test_the_running_mean_is_of_fewer_at_the_ends() -> None:
    values = np.array([0.0, 3.0, 6.0, 3.0, 12.0])
    assert running_mean(values, 1).tolist() == [1.5, 3.0, 4.0, 7.0, 7.5]
    assert running_mean(values, 0).tolist() == values.tolist()
    assert running_mean(values, 99).tolist() == [4.8] * 5


def test_losses_are_drawn_raw_and_smoothed() -> None:
    wild = [report("stage1", 1 + i, pixel_l1=1.0 + i % 2) for i in range(400)]
    raw, smooth, *_ = figure_of(wild).axes[0].lines
    assert np.ptp(raw.get_ydata()) == 1
    assert np.ptp(smooth.get_ydata()[20:-20]) < 0.1
    assert raw.get_alpha() < 0.5
    assert raw.get_color() == smooth.get_color()


def write_log(folder: Path, lines: list[dict[str, Any]]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_log_becomes_a_png(tmp_path: Path) -> None:
    run = tmp_path / "$_{run$"  # no formula
    write_log(run, LINES)
    plot_run(run, tmp_path / "new" / "plot.png")
    pixels = np.asarray(Image.open(tmp_path / "new" / "plot.png").convert("RGB")).reshape(-1, 3)
    assert len(pixels) > 500_000
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x08, 0x30, 0x6B)):
        assert (pixels == colour).all(axis=1).sum() > 50


def test_values_that_are_null_leave_a_gap_and_no_crash(tmp_path: Path) -> None:
    nulls = [{"phase": "stage1", "step": 150, "rate": None, "pixel_l1": None, "psnr": None}]
    write_log(tmp_path, [*LINES, *nulls])
    plot_run(tmp_path, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").exists()


@pytest.mark.parametrize("lines", [[], [{"phase": "stage1", "step": 1}]])
def test_a_run_that_told_nothing_is_a_sentence(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    write_log(tmp_path, lines)
    with pytest.raises(DiffIRError, match="has no reports to plot yet"):
        plot_run(tmp_path, tmp_path / "plot.png")
    assert not (tmp_path / "plot.png").exists()


def test_another_suffix_is_a_sentence(tmp_path: Path) -> None:
    write_log(tmp_path, LINES)
    with pytest.raises(PictureError, match=r"\.jpg found; a plot is a PNG, so name it \.png"):
        plot_run(tmp_path, tmp_path / "plot.jpg")


def test_without_matplotlib_the_message_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(tmp_path, LINES)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        MissingLibraryError, match=r"not installed; run pip install 'diffir\[train\]'"
    ):
        plot_run(tmp_path, tmp_path / "plot.png")


def test_nothing_of_pyplot_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    write_log(tmp_path, LINES)
    plot_run(tmp_path, tmp_path / "plot.png")
