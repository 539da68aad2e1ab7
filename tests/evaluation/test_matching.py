"""Matching: which restored picture is meant, whatever program named it."""

from pathlib import Path

import pytest
from PIL import Image

from diffir.errors import DataError
from diffir.evaluation.cases import cases_of_folder
from diffir.evaluation.matching import matched


def folder(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path / name)
    return path


def match(tmp_path: Path, gt: tuple[str, ...], restored: tuple[str, ...]) -> dict[str, str]:
    cases = cases_of_folder(folder(tmp_path / "gt", *gt))
    files = matched(folder(tmp_path / "restored", *restored), cases).files
    return {
        name: path.relative_to(tmp_path / "restored").as_posix() for name, path in files.items()
    }


@pytest.mark.parametrize(
    "restored", ["a.jpg", "ax4.png", "a_out.png", "a_x4_swin.png", "a-2.png", "a.v2.png"]
)
def test_suffixes_behind_the_name_are_tolerated(tmp_path: Path, restored: str) -> None:
    assert match(tmp_path, ("a.png",), (restored,)) == {"a": restored}


def test_the_same_name_comes_first_and_longer_names_win(tmp_path: Path) -> None:
    gt = ("a.png", "a_b.png", "img_1.png", "img_10.png")
    restored = ("a_out.png", "a_b_out.png", "img_1.png", "img_10x4.png")
    found = match(tmp_path, gt, restored)
    assert found == {
        "a": "a_out.png",
        "a_b": "a_b_out.png",
        "img_1": "img_1.png",
        "img_10": "img_10x4.png",
    }


def test_folders_inside_keep_equal_names_apart(tmp_path: Path) -> None:
    names = ("x/1.png", "y/1.png")
    assert match(tmp_path, names, names) == {"x/1": "x/1.png", "y/1": "y/1.png"}


@pytest.mark.parametrize(
    ("gt", "restored", "sentence"),
    [
        (("a.png",), ("a_1.png", "a_2.png"), "has a_1, a_2, which all match a; keep only one"),
        (("a.png",), ("a.png", "a.jpg"), "both match a; remove one"),
        (("a.png", "b.png"), ("a.png",), "has 1 pictures and GT 2, but "),
        (("a.png",), ("a.png", "c.png"), "has 2 pictures and GT 1, but GT lacks c"),
        (("a.png",), ("a.png", "a_out.png"), "GT lacks a_out"),
        (("a.png",), ("ab.png",), "lacks a"),
        (("a.png", "a_b.png"), ("a_b.png", "a_b_out.png"), "lacks a"),
        (("img_1.png", "img_2.png"), ("img_10.png", "img_2.png"), "lacks img_1"),
        (tuple(f"{i}.png" for i in range(9)), ("0.png",), "1, 2, 3 and 5 more"),
    ],
)
def test_what_is_not_clear_is_a_sentence(
    tmp_path: Path, gt: tuple[str, ...], restored: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(DataError) as found:
        match(tmp_path, gt, restored)
    assert sentence in str(found.value)


def test_a_missing_or_empty_folder_is_a_sentence(tmp_path: Path) -> None:
    cases = cases_of_folder(folder(tmp_path / "gt", "a.png"))
    with pytest.raises(DataError, match="nope is not a folder"):
        matched(tmp_path / "nope", cases)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no picture"):
        matched(tmp_path / "empty", cases)


def test_accents_match_however_they_are_written(tmp_path: Path) -> None:
    taken_apart, composed = "e\N{COMBINING ACUTE ACCENT}", "é"
    assert match(tmp_path / "1", (f"{composed}.png",), (f"{taken_apart}.png",)) == {
        composed: f"{taken_apart}.png"
    }
    assert match(tmp_path / "2", (f"{taken_apart}.png",), (f"{composed}_x4.png",)) == {
        taken_apart: f"{composed}_x4.png"
    }
