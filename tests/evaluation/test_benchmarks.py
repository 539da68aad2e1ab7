"""Benchmarks: folders as they are downloaded are understood, and what is missing is said."""

from pathlib import Path

import pytest

from diffir.data import DEGRADATIONS
from diffir.errors import DataError
from diffir.evaluation.benchmarks import BENCHMARKS, benchmark_called, count_note, pictures_of
from diffir.evaluation.cases import cases_in
from diffir.evaluation.layouts import Case
from diffir.evaluation.metrics import METRICS
from diffir.evaluation.published import PUBLISHED
from diffir.tasks import TASKS


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def parts(case: Case, root: Path) -> tuple[str, ...]:
    files = (case.gt, case.lq, case.mask)
    return tuple(file.path.relative_to(root).as_posix() if file else "" for file in files)


DOWNLOADS = {
    "this project's": ("set5", ("HR/a.png", "LR_x4/a.png", "LR_x2/a.png"), "HR/a.png", 1),
    "EDSR's": ("set14", ("HR/a.png", "LR_bicubic/X4/ax4.png"), "HR/a.png", 1),
    "BasicSR's": ("set5", ("GTmod12/a.png", "LRbicx4/a.png", "original/a.png"), "GTmod12/a.png", 1),
    "SelfExSR's": (
        "urban100",
        ("image_SRF_4/img_001_SRF_4_HR.png", "image_SRF_4/img_001_SRF_4_LR.png"),
        "image_SRF_4/img_001_SRF_4_HR.png",
        1,
    ),
    "DIV2K's": (
        "div2k100",
        ("DIV2K_valid_HR/0801.png", "DIV2K_valid_LR_bicubic/X4/0801x4.png"),
        "DIV2K_valid_HR/0801.png",
        1,
    ),
    "GOPRO_Large's": (
        "gopro",
        ("test/G1/sharp/1.png", "test/G1/blur/1.png", "test/G1/blur_gamma/1.png"),
        "test/G1/sharp/1.png",
        1,
    ),
    "Restormer's": ("gopro", ("target/1.png", "input/1.png"), "target/1.png", 1),
    "HIDE's": ("hide", ("GT/1.png", "test/test-close-ups/1.png", "train/1.png"), "GT/1.png", 1),
    "RealSR's": ("realsr", ("Canon_1_HR.png", "Canon_1_LR4.png"), "Canon_1_HR.png", 1),
    "NTIRE's": (
        "ntire2020",
        ("Corrupted-va-x/1.png", "DIV2K_valid_HR/1.png"),
        "DIV2K_valid_HR/1.png",
        1,
    ),
    "LaMa's": ("celeba-hq-wide", ("1.png", "1_mask000.png"), "1.png", 2),
    "LaMa's, from above": (
        "places-narrow",
        ("evaluation/random_thin_512/1.png", "evaluation/random_thin_512/1_mask000.png"),
        "evaluation/random_thin_512/1.png",
        2,
    ),
}


@pytest.mark.parametrize(("name", "files", "gt", "partner"), DOWNLOADS.values(), ids=DOWNLOADS)
def test_folders_as_they_are_downloaded_are_understood(
    tmp_path: Path, name: str, files: tuple[str, ...], gt: str, partner: int
) -> None:
    touch(tmp_path, *files)
    benchmark = BENCHMARKS[name]
    _, (case,) = pictures_of(benchmark, tmp_path, benchmark.scale)
    found = parts(case, tmp_path)
    assert found[0] == gt
    assert found[partner] in files
    assert not case.problem


def test_pictures_of_equal_names_in_several_scenes_stay_apart(tmp_path: Path) -> None:
    names = [f"{scene}/{side}/1.png" for scene in "AB" for side in ("blur", "sharp")]
    _, cases = pictures_of(BENCHMARKS["gopro"], touch(tmp_path, *names), 1)
    assert [case.name for case in cases] == ["A/1", "B/1"]
    assert [parts(case, tmp_path)[:2] for case in cases] == [
        ("A/sharp/1.png", "A/blur/1.png"),
        ("B/sharp/1.png", "B/blur/1.png"),
    ]


def test_pictures_without_reference_are_lq(tmp_path: Path) -> None:
    _, (case,) = pictures_of(BENCHMARKS["realsrset"], touch(tmp_path, "a.png"), 4)
    assert parts(case, tmp_path) == ("", "a.png", "")


def test_the_folder_may_lie_in_the_one_that_is_named_and_capitals_do_not_matter(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "Set5/hr/A.png", "Set5/lr_x4/a.PNG", "Set14/HR/b.png")
    _, (case,) = pictures_of(BENCHMARKS["set5"], tmp_path, 4)
    assert parts(case, tmp_path)[0] == "Set5/hr/A.png"
    assert parts(case, tmp_path)[1] == "Set5/lr_x4/a.PNG"


def test_without_lq_of_the_scale_gt_alone_is_found(tmp_path: Path) -> None:
    touch(tmp_path, "HR/a.png", "LR_x4/a.png")
    _, (case,) = pictures_of(BENCHMARKS["set5"], tmp_path, 2)
    assert parts(case, tmp_path) == ("HR/a.png", "", "")


def test_a_picture_without_its_partner_says_so(tmp_path: Path) -> None:
    _, cases = pictures_of(
        BENCHMARKS["set5"], touch(tmp_path, "HR/a.png", "HR/b.png", "LR_x4/a.png"), 4
    )
    assert cases[0].problem == ""
    assert "HR/b.png has no LQ, expected as LR_x{scale}/{name}" in cases[1].problem


def test_lq_without_a_gt_says_so(tmp_path: Path) -> None:
    names = ("HR/a.png", "LR_x4/a.png", "LR_x4/b.png", "LR_x4/c.png")
    _, cases = pictures_of(BENCHMARKS["set5"], touch(tmp_path, *names), 4)
    assert [(case.name, bool(case.problem)) for case in cases] == [
        ("a", False),
        ("b", True),
        ("c", True),
    ]
    assert cases[1].problem.endswith("LR_x4/b.png has no GT, expected as HR/{name}")


def test_a_layout_with_whole_pictures_goes_before_one_with_halves(tmp_path: Path) -> None:
    touch(tmp_path, "HR/a.png", "HR/b.png", "LR_x4/ax4.png", "LR_x4/bx4.png")
    layout, cases = pictures_of(BENCHMARKS["set5"], tmp_path, 4)
    assert layout.lq == "LR_x{scale}/{name}x{scale}"
    assert not any(case.problem for case in cases)


def test_the_check_counts(tmp_path: Path) -> None:
    names = [f"{folder}/{index}.png" for folder in ("HR", "LR_x4") for index in range(5)]
    touch(tmp_path, *names)

    def check() -> str:
        return count_note(BENCHMARKS["set5"], *pictures_of(BENCHMARKS["set5"], tmp_path, 4), 4)

    sentence = check()
    assert sentence == "set5: 5 of 5 pictures found as HR/{name} + LR_x4/{name}"
    (tmp_path / "LR_x4" / "0.png").unlink()
    assert check().startswith("set5: 4 of 5 pictures found")
    assert check().endswith("so the scores are not comparable with published ones")


def test_the_check_says_what_is_missing_and_where_to_get_it(tmp_path: Path) -> None:
    touch(tmp_path, "train/A/sharp/1.png", "train/A/blur/1.png")
    with pytest.raises(DataError, match=r"layouts of gopro.*\{scene\}/sharp.*seungjunnah"):
        pictures_of(BENCHMARKS["gopro"], tmp_path, 1)
    with pytest.raises(DataError, match="is not a folder"):
        pictures_of(BENCHMARKS["gopro"], tmp_path / "nope", 1)


def test_names_may_be_spelt_as_papers_do() -> None:
    assert benchmark_called("CelebA HQ wide").name == "celeba-hq-wide"
    with pytest.raises(DataError, match="benchmark 'set6' found; choose one of set5"):
        benchmark_called("set6")


def test_every_table_of_the_paper_has_its_benchmark_and_all_of_them_are_sound() -> None:
    assert {row.benchmark for row in PUBLISHED} <= set(BENCHMARKS)
    for benchmark in BENCHMARKS.values():
        assert benchmark.task in TASKS
        assert set(benchmark.metrics) <= set(METRICS)
        assert benchmark.degradation is None or benchmark.degradation in DEGRADATIONS


def test_other_folders_are_pairs_where_they_look_so_and_photos_otherwise(tmp_path: Path) -> None:
    touch(tmp_path / "pairs", "sharp/1.png", "blur/1.png")
    _, (pair,) = cases_in(str(tmp_path / "pairs"), "deblur", 1)
    assert parts(pair, tmp_path / "pairs") == ("sharp/1.png", "blur/1.png", "")
    _, photos = cases_in(str(touch(tmp_path / "photos", "x/1.png", "y/1.png")), "deblur", 1)
    assert [parts(case, tmp_path / "photos")[0] for case in photos] == ["x/1.png", "y/1.png"]
    assert photos[0].name != photos[1].name


@pytest.mark.parametrize("other", ["gt/a.bmp", "gt/A.png"])
def test_names_that_are_one_to_a_layout_are_a_sentence(tmp_path: Path, other: str) -> None:
    touch(tmp_path, "gt/a.png", "lq/a.png", other)
    with pytest.raises(DataError, match="both match gt/a; remove one"):
        cases_in(str(tmp_path), "deblur", 1)


def test_every_mask_of_a_picture_is_a_case_and_one_without_its_picture_says_so(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "a.png", "a_mask001.png", "a_mask002.png", "b.png", "b_mask000.png")
    touch(tmp_path, "z_mask000.png")
    _, cases = cases_in(str(tmp_path), "inpaint", 1)
    assert [(case.name, *parts(case, tmp_path)) for case in cases[:3]] == [
        ("a_mask001", "a.png", "", "a_mask001.png"),
        ("a_mask002", "a.png", "", "a_mask002.png"),
        ("b", "b.png", "", "b_mask000.png"),
    ]
    (lonely,) = cases[3:]
    assert "z_mask000.png has no GT" in lonely.problem


def test_several_lq_of_one_picture_are_told_of(tmp_path: Path) -> None:
    touch(tmp_path, "GT/1.png", "test/a/1.png", "test/b/1.png")
    _, cases = pictures_of(BENCHMARKS["hide"], tmp_path, 1)
    assert "GT/1.png has several LQ" in cases[0].problem
