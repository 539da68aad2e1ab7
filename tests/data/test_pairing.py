"""Pairing: which LQ belongs to which GT."""

from pathlib import Path

import pytest

from diffir.data.folders import picture_files
from diffir.data.pairing import pair_files
from diffir.errors import DataError

Pairs = list[tuple[str, str]]


def paired(
    root: Path, gts: list[str], lqs: list[str], template: str = "{}"
) -> tuple[Pairs, dict[str, str]]:
    """The pairs of empty files of these names, and who is alone, by paths from the root."""
    for name in [*(f"gt/{gt}" for gt in gts), *(f"lq/{lq}" for lq in lqs)]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    gt_root, lq_root = root / "gt", root / "lq"
    pairs, alone = pair_files(picture_files([gt_root]), gt_root, lq_root, template)
    short = {str(Path(name).relative_to(root)): text for name, text in alone.items()}
    return [
        (gt.relative_to(gt_root).as_posix(), lq.relative_to(lq_root).as_posix()) for gt, lq in pairs
    ], short


def test_folder_and_name_make_a_pair_whatever_the_suffix(tmp_path: Path) -> None:
    pairs, alone = paired(
        tmp_path, ["a/1.png", "b/1.png", "2.tif"], ["a/1.jpg", "b/1.PNG", "2.png"]
    )
    assert pairs == [("2.tif", "2.png"), ("a/1.png", "a/1.jpg"), ("b/1.png", "b/1.PNG")]
    assert not alone


def test_a_template_says_what_lq_is_called(tmp_path: Path) -> None:
    pairs, alone = paired(tmp_path, ["a/baby.png"], ["a/lr_babyx4.png"], "lr_{}x4")
    assert pairs == [("a/baby.png", "a/lr_babyx4.png")]
    assert not alone


def test_who_is_alone_is_named_on_either_side(tmp_path: Path) -> None:
    pairs, alone = paired(tmp_path, ["1.png", "2.png"], ["2.png", "3.png"])
    assert pairs == [("2.png", "2.png")]
    assert set(alone) == {"gt/1.png", "lq/3.png"}
    assert "gt/1.png has no LQ; " in alone["gt/1.png"]
    assert "lq/1 with any suffix" in alone["gt/1.png"]
    assert "lq/3.png has no GT below" in alone["lq/3.png"]


def test_names_with_dots_are_told_apart(tmp_path: Path) -> None:
    pairs, alone = paired(tmp_path, ["v1.0.png", "v1.1.png"], ["v1.0.png", "v1.1.png"])
    assert len(pairs) == 2
    assert not alone


@pytest.mark.parametrize("template", ["x4", "{}{}", ""])
def test_a_template_without_a_place_for_the_name_is_a_sentence(
    tmp_path: Path, template: str
) -> None:
    with pytest.raises(DataError, match=r"must contain \{\} once"):
        paired(tmp_path, ["1.png"], ["1.png"], template)


def test_a_missing_folder_of_lq_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lq does not exist"):
        paired(tmp_path, ["1.png"], [])


def test_namesakes_are_paired_by_their_suffix_or_not_at_all(tmp_path: Path) -> None:
    names = ["x.jpg", "x.png"]
    assert paired(tmp_path / "a", names, names) == ([(name, name) for name in names], {})
    pairs, alone = paired(tmp_path / "b", ["x.jpg", "x.png"], ["x.tif", "x.webp"])
    assert pairs == []
    assert set(alone) == {"gt/x.jpg", "gt/x.png", "lq/x.tif", "lq/x.webp"}
