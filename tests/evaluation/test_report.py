"""Reports: every format holds the same numbers, and the page asks for nothing from anywhere."""

import base64
import csv
import io
import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffir.data import Bicubic
from diffir.errors import DataError
from diffir.evaluation.crops import Tile, View
from diffir.evaluation.evaluate import Plan, Row
from diffir.evaluation.layouts import Case
from diffir.evaluation.methods import Method
from diffir.evaluation.published import beside
from diffir.evaluation.report import (
    as_csv,
    as_html,
    as_json,
    as_markdown,
    means_table,
    worst,
    write_report,
)
from diffir.evaluation.summary import Mean, Report

TILE = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)


@pytest.fixture
def report() -> Report:
    plan = Plan(
        methods=(Method(name="ours"), Method(name="a|<b>")),
        cases=(Case(name="1"), Case(name="2")),
        metrics=("psnr_y", "ssim_y", "fid"),
        border=4,
        scale=4,
        degradation=Bicubic(),
    )
    rows = (
        Row(picture="2", method="ours", error="2.png: <cut> short"),
        Row(picture="2", method="a|<b>", scores={"psnr_y": 20.125, "ssim_y": 0.5}, seconds=2.0),
        Row(picture="1", method="ours", scores={"psnr_y": math.inf, "ssim_y": 1.0}, seconds=0.25),
        Row(picture="1", method="a|<b>", scores={"psnr_y": 30.0, "ssim_y": 0.75}, seconds=1.0),
    )
    means = {
        "ours": {"psnr_y": Mean(value=math.inf), "ssim_y": Mean(value=1.0)},
        "a|<b>": {
            "psnr_y": Mean(value=25.0625, low=20.126, high=30.0),
            "ssim_y": Mean(value=0.625, low=0.5, high=0.75),
            "fid": Mean(value=4.5967),
        },
    }
    view = View(
        picture="1",
        left=3,
        top=5,
        tiles=(
            Tile(label="LQ", pixels=TILE),
            Tile(label="ours", pixels=TILE, difference=TILE),
            Tile(label="GT", pixels=TILE),
        ),
    )
    return Report(
        data="some/Set14",
        benchmark="set14",
        plan=plan,
        rows=rows,
        means=means,
        views=(view,),
        published=beside("set14", "psnr_y"),
        notes=("a note",),
    )


def test_the_table_has_a_row_a_method_and_the_papers_below(report: Report) -> None:
    lines = means_table(report).splitlines()
    assert lines[:4] == [
        "| method | pictures | psnr_y | ssim_y | fid | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
        "| ours | 1 of 2 | inf | 1.0000 |  | 0.25 |",
        "| a\\|<b> | 2 | 25.06 [20.13, 30.00] | 0.6250 [0.5000, 0.7500] | 4.5967 | 1.50 |",
    ]
    assert lines[-1] == "| DiffIR_S2 (paper) |  | 27.73 |  |  |  |"
    assert len(lines) == 4 + 9


def test_markdown_says_how_it_was_made_and_lists_all_pictures(report: Report) -> None:
    text = as_markdown(report)
    assert "PSNR and SSIM without a border of 4 pixels" in text
    assert "- a note" in text
    assert "- the paper: PSNR on Y without a border of 4 pixels" in text
    assert "| 2 | ours |  |  |  | 2.png: <cut> short |" in text
    assert "| 1 | a\\|<b> | 30.00 | 0.7500 | 1.00 |  |" in text


def test_csv_has_a_line_a_row_with_all_digits(report: Report) -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(report))))
    assert len(lines) == 4
    assert lines[0]["error"] == "2.png: <cut> short"
    assert lines[1]["psnr_y"] == "20.125"
    assert float(lines[2]["psnr_y"]) == math.inf


def test_json_is_strict_and_holds_everything(report: Report) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    found = json.loads(as_json(report), parse_constant=refuse)
    assert found["methods"][1]["means"]["psnr_y"] == {"value": 25.0625, "low": 20.126, "high": 30.0}
    assert found["methods"][0]["means"]["psnr_y"]["value"] == "inf"
    assert found["degradation"] == {"kind": "bicubic"}
    assert found["rows"][0]["error"] == "2.png: <cut> short"
    assert found["paper"][-1]["value"] == 27.73


class Page(HTMLParser):
    """All that a page's tags say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_needs_nothing_else_and_shows_the_crops(report: Report) -> None:
    text = as_html(report)
    page = Page(text)
    sources = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert len(sources) == 3 + 1
    for source in sources:
        assert source is not None
        head, _, body = source.partition(",")
        assert head == "data:image/png;base64"
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))
        np.testing.assert_array_equal(shown, TILE)
    captions = [word for word in page.words if word in ("LQ", "GT")]
    assert captions == ["LQ", "GT"]
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "a"}
    assert "url(" not in text
    assert "@import" not in text


def test_names_and_errors_are_text_in_the_page_whatever_they_hold(report: Report) -> None:
    page = Page(as_html(report))
    assert "a|<b>" in page.words
    assert "2.png: <cut> short" in page.words
    assert not {"b", "cut"} & {tag for tag, _ in page.tags}


def test_names_of_files_are_text_in_all_reports_whatever_they_hold(
    report: Report, tmp_path: Path
) -> None:
    named = replace(report, rows=tuple(replace(r, picture="x\n<b>\udcff") for r in report.rows))
    for suffix in ("html", "json", "csv", "md"):
        write_report(named, tmp_path / f"report.{suffix}")
        assert "\\udcff" in (tmp_path / f"report.{suffix}").read_text(encoding="utf-8")
    assert "| x <b>\\udcff |" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_the_worst_are_named_where_there_are_enough(report: Report) -> None:
    assert worst(report) is None
    rows = tuple(
        Row(picture=str(i), method="ours", scores={"psnr_y": 20.0 + i, "ssim_y": 1})
        for i in range(4)
    )
    assert worst(replace(report, rows=rows)) == ("worst psnr_y of ours: 0 20.00, 1 21.00, 2 22.00")


def test_the_suffix_is_the_format(report: Report, tmp_path: Path) -> None:
    for suffix in ("html", "json", "csv", "MD"):
        write_report(report, tmp_path / "new" / f"report.{suffix}")
    assert (tmp_path / "new" / "report.MD").read_text(encoding="utf-8") == as_markdown(report)
    assert (tmp_path / "new" / "report.html").read_text(encoding="utf-8") == as_html(report)
    with pytest.raises(DataError, match=r"x.pdf does not have the suffix of a report; use .html"):
        write_report(report, tmp_path / "x.pdf")


def test_a_report_on_the_working_folder_is_called_after_it(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Set14").mkdir()
    monkeypatch.chdir(tmp_path / "Set14")
    here = replace(report, data=".", benchmark=None)
    assert as_markdown(here).startswith("# Set14\n")
    assert "<title>Set14</title>" in as_html(here)
