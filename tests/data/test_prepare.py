"""Preparing sets: made-up tiny copies of each, as their archives unpack."""

import errno
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from diffir.data.cutting import FULL, Cutting
from diffir.data.parallel import in_order
from diffir.data.prepare import Prepared, prepare
from diffir.data.prepare_sets import PUBLIC_SETS
from diffir.data.sets import data_sets, open_sets
from diffir.errors import DataError
from diffir.files import write_whole
from diffir.images import read

PHOTO = np.ascontiguousarray(data.astronaut()[:24, 200:232])  # 32 wide, 24 high
CROPS = Cutting(size=16, step=8)

LAYOUTS = {
    "div2k": ["DIV2K_train_HR/0001.png", "DIV2K_train_HR/0002.png", "DIV2K_valid_HR/0801.png"],
    "flickr2k": ["Flickr2K/Flickr2K_HR/000001.png"],
    "df2k": ["DIV2K/DIV2K_train_HR/0001.png", "Flickr2K/Flickr2K_HR/000001.png"],
    "ost": [
        f"OutdoorSceneTrain_v2/{name}/1.jpg"
        for name in ("animal", "building", "grass", "mountain", "plant", "sky", "water")
    ],
    "gopro": [
        f"GOPRO_Large/{part}/{kind}/000047.png"
        for part in ("train/GOPR0372_07_00", "train/GOPR0372_07_01", "test/GOPR0384_11_00")
        for kind in ("blur", "blur_gamma", "sharp")
    ],
    "hide": [
        "HIDE_dataset/train/1fromGOPR0950.png",
        "HIDE_dataset/test/test-close-ups/2fromGOPR0950.png",
        "HIDE_dataset/test/test-long-shot/3fromGOPR0950.png",
        *(f"HIDE_dataset/GT/{number}fromGOPR0950.png" for number in (1, 2, 3)),
    ],
    "places": [
        "data_large/a/airfield/00000001.jpg",
        "data_large/b/bar/00000001.jpg",
        "val_large/Places365_val_00000001.jpg",
    ],
    "celeba-hq": ["CelebA-HQ-img/0.jpg", "CelebAMask-HQ-mask-anno/0/00000_hair.png"],
    "folder": ["holiday/1.jpg", "2.tif"],
}
NAMES = {  # what is made of the training part, whole
    "div2k": ["0001.png", "0002.png"],
    "flickr2k": ["000001.png"],
    "df2k": ["DIV2K_train_HR/0001.png", "Flickr2K_HR/000001.png"],
    "ost": [name.split("/", 1)[1] for name in LAYOUTS["ost"]],
    "gopro": ["GOPR0372_07_00/000047.png", "GOPR0372_07_01/000047.png"],
    "hide": ["1fromGOPR0950.png"],
    "places": ["a/airfield/00000001.jpg", "b/bar/00000001.jpg"],
    "celeba-hq": ["0.jpg"],
    "folder": ["2.tif", "holiday/1.jpg"],
}
TESTS = {
    "div2k": ["0801.png"],
    "gopro": ["GOPR0384_11_00/000047.png"],
    "hide": ["test-close-ups/2fromGOPR0950.png", "test-long-shot/3fromGOPR0950.png"],
    "places": ["Places365_val_00000001.jpg"],
}


def shade(name: str) -> np.ndarray:
    """The photo, darker where it is blurred, so that it is known again."""
    return PHOTO // 2 if "/blur/" in name or name.startswith("HIDE_dataset/t") else PHOTO


def unpack(root: Path, name: str) -> Path:
    """A tiny copy of a set."""
    for file in LAYOUTS[name]:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(shade(file)).save(root / file, quality=95)
    return root


def files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def run(name: str, source: Path, target: Path, **options: object) -> Prepared:
    options = {"cutting": Cutting(), "jobs": 1} | options
    return prepare(name, source, target, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_set_is_found_as_it_unpacks(tmp_path: Path, name: str) -> None:
    source, target = unpack(tmp_path / "some where", name), tmp_path / "made"
    result = run(name, source, target)
    assert files(target / "gt") == NAMES[name]
    assert (target / "list.txt").read_text().splitlines() == [f"gt/{file}" for file in NAMES[name]]
    assert result.gt == [f"gt/{file}" for file in NAMES[name]]
    has_pairs = PUBLIC_SETS[name].has_pairs
    assert files(target / "lq") == (NAMES[name] if has_pairs else [])
    if has_pairs:
        first = NAMES[name][0]
        assert np.array_equal(Image.open(target / "gt" / first), PHOTO)
        assert np.array_equal(Image.open(target / "lq" / first), PHOTO // 2)


@pytest.mark.parametrize("name", TESTS)
def test_the_part_for_tests_is_found_and_whole(tmp_path: Path, name: str) -> None:
    source, target = unpack(tmp_path / "raw", name), tmp_path / "made"
    run(name, source, target, split="test", cutting=None)
    assert files(target / "gt") == TESTS[name]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_wrong_folder_is_a_sentence_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/notes.txt").touch()
    with pytest.raises(DataError, match=r"raw has n.*; wanted "):
        run(name, tmp_path / "raw", tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_only_what_is_absent_of_a_set_is_named(tmp_path: Path) -> None:
    source = unpack(tmp_path / "raw", "ost")
    for folder in ("sky", "water"):
        (source / "OutdoorSceneTrain_v2" / folder / "1.jpg").unlink()
        (source / "OutdoorSceneTrain_v2" / folder).rmdir()
    with pytest.raises(DataError, match="raw has no folder sky, water; wanted"):
        run("ost", source, tmp_path / "made")


def test_two_folders_that_could_be_meant_are_a_sentence(tmp_path: Path) -> None:
    unpack(tmp_path / "raw/old", "div2k")
    unpack(tmp_path / "raw/new", "div2k")
    with pytest.raises(DataError, match="both match; give one of them"):
        run("div2k", tmp_path / "raw", tmp_path / "made")
    run("div2k", tmp_path / "raw/old", tmp_path / "made")


def test_the_set_s_own_folder_may_be_given_and_litter_is_left_alone(tmp_path: Path) -> None:
    source = unpack(tmp_path / "raw", "div2k") / "DIV2K_train_HR"
    (source / "._0001.png").write_bytes(b"a Mac's notes")
    (source / "__MACOSX").mkdir()
    (source / "__MACOSX/0003.png").write_bytes(b"")
    assert not run("div2k", source, tmp_path / "made").skipped
    assert files(tmp_path / "made/gt") == NAMES["div2k"]


@pytest.mark.parametrize("where", ["Datasets/train/GoPro", "GoPro"])
def test_pairs_that_others_repacked_are_found(tmp_path: Path, where: str) -> None:
    for kind in ("input", "target"):
        (tmp_path / where / kind).mkdir(parents=True)
        Image.fromarray(PHOTO).save(tmp_path / where / kind / "1.png")
    run("gopro", tmp_path / where.split("/")[0], tmp_path / "made")
    assert files(tmp_path / "made/lq") == ["1.png"]


def test_gopro_s_other_blur_is_taken_where_asked_for(tmp_path: Path) -> None:
    run("gopro", unpack(tmp_path / "raw", "gopro"), tmp_path / "made", blur="blur_gamma")
    assert np.array_equal(Image.open(tmp_path / "made/lq" / NAMES["gopro"][0]), PHOTO)


def test_whole_pictures_are_copied_to_the_byte(tmp_path: Path) -> None:
    source = unpack(tmp_path / "raw", "places")
    run("places", source, tmp_path / "made")
    copied = (tmp_path / "made/gt/a/airfield/00000001.jpg").read_bytes()
    assert copied == (source / "data_large/a/airfield/00000001.jpg").read_bytes()


def test_pairs_are_cut_at_the_same_places(tmp_path: Path) -> None:
    result = run("gopro", unpack(tmp_path / "raw", "gopro"), tmp_path / "made", cutting=CROPS)
    boxes = CROPS.boxes(32, 24)
    assert result.made == 2 * len(boxes)
    for number, (left, top, right, bottom) in enumerate(boxes, 1):
        name = f"GOPR0372_07_00/000047_s{number:03d}.png"
        wanted = PHOTO[top:bottom, left:right]
        assert np.array_equal(Image.open(tmp_path / "made/gt" / name), wanted)
        assert np.array_equal(Image.open(tmp_path / "made/lq" / name), wanted // 2)


def test_copies_are_reduced_by_lanczos_then_cut(tmp_path: Path) -> None:
    cutting = Cutting(size=16, step=16, scales=(FULL, FULL / 2), edge=8)
    run("folder", unpack(tmp_path / "raw", "flickr2k"), tmp_path / "made", cutting=cutting)
    folder = tmp_path / "made/gt"
    assert {file.split("/")[0] for file in files(folder)} == {"x1", "x0.5", "edge8"}
    half = Image.fromarray(PHOTO).resize((16, 12), Image.Resampling.LANCZOS)
    assert np.array_equal(Image.open(folder / "x0.5/Flickr2K/Flickr2K_HR/000001_s001.png"), half)
    assert Image.open(folder / "edge8/Flickr2K/Flickr2K_HR/000001_s001.png").size == (10, 8)


def test_crops_are_8_bit_rgb_of_any_picture(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    Image.fromarray(PHOTO[..., 0]).save(tmp_path / "raw/gray.png")
    Image.fromarray(PHOTO).convert("CMYK").save(tmp_path / "raw/cmyk.jpg")
    Image.fromarray(PHOTO[..., 0].astype(np.uint16) * 257).save(tmp_path / "raw/deep.png")
    run("folder", tmp_path / "raw", tmp_path / "made", cutting=CROPS)
    modes = {Image.open(tmp_path / "made/gt" / file).mode for file in files(tmp_path / "made/gt")}
    assert modes == {"RGB"}
    deep = np.asarray(Image.open(tmp_path / "made/gt/deep_s001.png"))
    assert np.array_equal(deep, np.repeat(PHOTO[:16, :16, :1], 3, axis=2))


def test_an_interrupted_run_goes_on_and_makes_nothing_twice(tmp_path: Path) -> None:
    source, target = unpack(tmp_path / "raw", "gopro"), tmp_path / "made"
    run("gopro", source, target, cutting=CROPS)
    before = {file: (target / file).read_bytes() for file in files(target)}
    gone = ["gt/GOPR0372_07_00/000047_s002.png", "lq/GOPR0372_07_01/000047_s001.png", "list.txt"]
    for file in gone:
        (target / file).unlink()
    kept = target / "gt/GOPR0372_07_00/000047_s001.png"
    kept.write_bytes(b"not made again")
    assert run("gopro", source, target, cutting=CROPS).made == 2
    after = {file: (target / file).read_bytes() for file in files(target)}
    assert after.pop("gt/GOPR0372_07_00/000047_s001.png") == b"not made again"
    assert all(before[file] == content for file, content in after.items())
    assert set(gone) <= set(after)


def test_gt_is_written_after_its_lq_so_that_gt_in_the_folder_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def full(data: bytes, path: Path) -> None:
        if len(written) == 2:  # the note and the first picture
            raise OSError(errno.ENOSPC, "No space left on device")
        write_whole(data, path)
        written.append(path)

    monkeypatch.setattr("diffir.data.prepare.write_whole", full)
    with pytest.raises(OSError, match="No space left"):
        run("gopro", unpack(tmp_path / "raw", "gopro"), tmp_path / "made")
    assert files(tmp_path / "made") == ["lq/GOPR0372_07_00/000047.png", "prepare.json"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf_8_are_prepared_listed_and_learnt_from(tmp_path: Path) -> None:
    latin, source = os.fsdecode(b"caf\xe9"), tmp_path / os.fsdecode(b"\xe9t\xe9")
    source.mkdir()
    Image.fromarray(PHOTO).save(source / f"{latin}.png")
    for _ in range(2):  # the second time, the note is compared
        run("folder", source, tmp_path / "made")
    described = open_sets(data_sets([str(tmp_path / "made/list.txt")]), scale=1).describe()
    assert described["pictures"] == 1
    assert described == open_sets(data_sets([str(tmp_path / "made")]), scale=1).describe()


def test_links_to_folders_are_followed_and_circles_end(tmp_path: Path) -> None:
    source = unpack(tmp_path / "raw", "folder")
    (source / "loop").symlink_to(source)
    unpack(tmp_path / "elsewhere", "flickr2k")
    (source / "linked").symlink_to(tmp_path / "elsewhere")
    run("folder", source, tmp_path / "made")
    linked = "linked/Flickr2K/Flickr2K_HR/000001.png"
    assert files(tmp_path / "made/gt") == sorted([*NAMES["folder"], linked])


@pytest.mark.parametrize("change", [{"cutting": CROPS}, {"split": "test"}, {"blur": "blur_gamma"}])
def test_other_options_on_a_prepared_folder_are_a_sentence(
    tmp_path: Path, change: dict[str, object]
) -> None:
    source, target = unpack(tmp_path / "raw", "gopro"), tmp_path / "made"
    run("gopro", source, target)
    with pytest.raises(DataError, match=r"made was prepared with .*, not "):
        run("gopro", source, target, **change)
    assert json.loads((target / "prepare.json").read_text())["split"] == "train"


def test_a_folder_of_other_files_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made/mine.txt").touch()
    with pytest.raises(DataError, match="has files that are not of this set"):
        run("folder", unpack(tmp_path / "raw", "folder"), tmp_path / "made")
    assert files(tmp_path / "made") == ["mine.txt"]


def test_a_target_within_the_source_is_a_sentence(tmp_path: Path) -> None:
    source = unpack(tmp_path / "raw", "folder")
    for target in (source, source / "made"):
        with pytest.raises(DataError, match="choose a folder outside it"):
            run("folder", source, target)


def damaged(root: Path) -> dict[str, str]:
    """A GoPro set with everything that can be wrong, and the sentences about it."""
    unpack(root, "gopro")
    scene = root / "GOPRO_Large/train/GOPR0372_07_00"
    for number in (1, 2, 3, 4, 5):
        for kind in ("blur", "sharp"):
            Image.fromarray(PHOTO).save(scene / kind / f"{number}.png")
    (scene / "blur/1.png").unlink()
    (scene / "sharp/2.png").unlink()
    Image.fromarray(PHOTO[:20]).save(scene / "blur/3.png")
    whole = (scene / "sharp/4.png").read_bytes()
    (scene / "sharp/4.png").write_bytes(whole[: len(whole) // 2])
    (scene / "blur/5.png").write_text("text")
    return {
        "sharp/1.png": "has no LQ",
        "blur/2.png": "has no GT",
        "blur/3.png": "is 32×20 and its GT",
        "sharp/4.png": "cannot be decoded",
        "blur/5.png": "not a picture",
    }


def test_bad_files_are_left_out_and_told(tmp_path: Path) -> None:
    wanted = damaged(tmp_path / "raw")
    result = run("gopro", tmp_path / "raw", tmp_path / "made", cutting=CROPS)
    told = sorted(result.skipped.values())
    assert len(told) == len(wanted)
    for file, sentence in wanted.items():
        assert any(file in text and sentence in text for text in told), file
    assert result.originals == 7
    assert result.made == 2 * len(CROPS.boxes(32, 24))
    assert files(tmp_path / "made/gt") == files(tmp_path / "made/lq")


def test_the_first_bad_file_stops_where_asked_to(tmp_path: Path) -> None:
    source = unpack(tmp_path / "raw", "div2k")
    (source / "DIV2K_train_HR/0002.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"0002\.png: an empty file found"):
        run("div2k", source, tmp_path / "made", on_bad="stop")
    assert files(tmp_path / "made") == ["gt/0001.png", "prepare.json"]


def test_a_set_without_a_good_picture_is_a_sentence(tmp_path: Path) -> None:
    source = unpack(tmp_path / "raw", "flickr2k")
    (source / "Flickr2K/Flickr2K_HR/000001.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"no picture could be prepared: .*an empty file"):
        run("flickr2k", source, tmp_path / "made")


def test_two_pictures_of_one_name_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for name in ("a.png", "a.jpg"):
        Image.fromarray(PHOTO).save(tmp_path / "raw" / name)
    with pytest.raises(DataError, match="would be written to the same file"):
        run("folder", tmp_path / "raw", tmp_path / "made")


def test_pairs_are_not_scaled(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pairs are not scaled"):
        run("gopro", tmp_path, tmp_path / "made", cutting=Cutting(edge=8))


def test_a_picture_too_small_for_all_scales_is_left_out(tmp_path: Path) -> None:
    source = unpack(tmp_path / "raw", "flickr2k")
    cutting = Cutting(scales=(FULL / 2,), edge=100)
    with pytest.raises(DataError, match="000001 is 32×24, too small for all of the scales"):
        run("flickr2k", source, tmp_path / "made", cutting=cutting)


def test_what_was_prepared_is_what_training_reads(tmp_path: Path) -> None:
    run("gopro", unpack(tmp_path / "raw", "gopro"), tmp_path / "pairs", cutting=CROPS)
    run("div2k", unpack(tmp_path / "raw", "div2k"), tmp_path / "photos", cutting=CROPS)
    pairs = open_sets(data_sets([str(tmp_path / "pairs")]), scale=1, on_bad="stop")
    assert pairs.has_pairs()
    counts = [
        open_sets(data_sets([str(tmp_path / "photos" / end)]), scale=1).describe()["pictures"]
        for end in ("", "list.txt")
    ]
    assert counts == [2 * len(CROPS.boxes(32, 24))] * 2


def test_several_threads_make_the_same_files(tmp_path: Path) -> None:
    source = unpack(tmp_path / "raw", "gopro")
    for jobs in (1, 2):
        run("gopro", source, tmp_path / f"made{jobs}", cutting=CROPS, jobs=jobs)
    one, two = tmp_path / "made1", tmp_path / "made2"
    assert files(one) == files(two)
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files(one))
    assert read(one / "gt/GOPR0372_07_00/000047_s001.png").width == 16


def test_results_come_in_order_from_any_number_of_threads() -> None:
    assert list(in_order(abs, [-3, -1, -2, 0, -5, -4, -9, -8, -7, -6], jobs=2)) == [
        3,
        1,
        2,
        0,
        5,
        4,
        9,
        8,
        7,
        6,
    ]
