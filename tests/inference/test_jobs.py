"""Which file becomes which is decided before anything is written."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffir.errors import MaskError, PictureError
from diffir.inference.jobs import Job, plan

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Everything happens here, by relative names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pictures(*names: str, array=PIXELS) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(name)


def planned(*sources: str, to: str, mask: str | None = None, **options) -> dict[str, str]:
    jobs = plan([Path(source) for source in sources], Path(to), mask and Path(mask), **options)
    return {job.source.as_posix(): job.target.as_posix() for job in jobs}


def masks_of(jobs: list[Job]) -> dict[str, str | None]:
    return {job.source.as_posix(): job.mask and job.mask.as_posix() for job in jobs}


def refused(*sources: str, to: str, error=PictureError, **options) -> str:
    before = sorted(Path().rglob("*"))
    with pytest.raises(error) as caught:
        planned(*sources, to=to, **options)
    assert sorted(Path().rglob("*")) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_picture_goes_to_the_named_file():
    pictures("a.png")
    assert planned("a.png", to="new/b.jpg") == {"a.png": "new/b.jpg"}


def test_one_picture_goes_into_a_folder_that_is_there_or_has_no_suffix():
    pictures("a.png")
    Path("v1.2").mkdir()
    assert planned("a.png", to="out") == {"a.png": "out/a.png"}
    assert planned("a.png", to="v1.2") == {"a.png": "v1.2/a.png"}


def test_folders_keep_their_structure():
    pictures("in/a.png", "in/x/y/b.JPG")
    Path("in/notes.txt").touch()
    assert planned("in", to="out") == {"in/a.png": "out/a.png", "in/x/y/b.JPG": "out/x/y/b.JPG"}


def test_a_format_is_for_what_goes_into_folders():
    pictures("in/a.jpg", "in/b.c.jpg")
    assert list(planned("in", to="out", suffix=".png").values()) == ["out/a.png", "out/b.c.png"]
    assert "leave it out" in refused("in/a.jpg", to="a.jpg", suffix=".png")
    assert "'gif' found; wanted one of .png" in refused("in", to="out", suffix=".gif")


def test_a_missing_source_stops_all_before_anything_is_written():
    pictures("a.png")
    assert refused("a.png", "b.png", to="out") == "b.png does not exist; check the path"


def test_a_folder_without_pictures_is_refused():
    Path("in").mkdir()
    Path("in/notes.txt").touch()
    assert "in holds no picture" in refused("in", to="out")


def test_a_file_name_that_is_no_pictures_is_refused():
    pictures("a.png")
    assert "out.gif has no picture suffix" in refused("a.png", to="out.gif")


def test_several_pictures_are_not_squeezed_into_one_file():
    pictures("in/a.png", "b.png")
    assert "need a folder as output" in refused("in", to="out.png")
    assert "need a folder as output" in refused("in/a.png", "b.png", to="out.png")


def test_an_output_below_a_file_is_refused():
    pictures("in/a.png")
    Path("taken").touch()
    for output in ("taken", "taken/deeper"):
        assert "taken is a file" in refused("in", to=output)
    assert "taken is a file" in refused("in/a.png", to="taken/a.png")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_read_only_folder_is_refused_before_hours_are_spent():
    pictures("a.png")
    Path("locked").mkdir(mode=0o500)
    assert "is not writable" in refused("a.png", to="locked/out/b.png")


def test_an_input_is_never_an_output():
    pictures("in/a.png", "in/b.png")
    assert "in/a.png is an input" in refused("in/a.png", to="in/a.png")
    assert "is an input" in refused("in", to="in")
    assert "is an input" in refused("in/a.png", to="in/../in/a.png")
    Path("link.png").symlink_to("in/a.png")
    assert "link.png is an input" in refused("in/a.png", to="link.png")


def test_a_mask_is_never_an_output():
    pictures("a.png", "m.png")
    assert "m.png is an input" in refused("a.png", to="m.png", mask="m.png")


def test_a_picture_is_never_its_own_mask():
    pictures("in/a.png", "in/b.png")
    for mask in ("in", "in/a.png"):
        told = refused("in/a.png", to="out.png", mask=mask, error=MaskError)
        assert "in/a.png is both picture and mask" in told


def test_pictures_of_formats_that_are_not_read_are_told(caplog):
    pictures("in/a.png", "in/b.jfif")
    for name in ("in/x.HEIC", "in/y.heic", "in/z.gif", "in/notes.txt"):
        Path(name).touch()
    assert planned("in", to="out") == {"in/a.png": "out/a.png", "in/b.jfif": "out/b.jfif"}
    assert "in: 3 files left out, since .gif, .heic is not supported" in caplog.text


def test_two_pictures_never_become_one_file():
    pictures("x/a.png", "y/a.png", "in/a.png", "in/a.jpg")
    assert "x/a.png and y/a.png would both become out/a.png" in refused("x", "y", to="out")
    assert "would both become out/a.png" in refused("in", to="out", suffix=".png")


def test_outputs_inside_the_input_folder_are_no_inputs_of_the_next_run():
    pictures("in/a.png")
    first = planned("in", to="in/out")
    pictures("in/out/a.png")
    assert planned("in", to="in/out") == first == {"in/a.png": "in/out/a.png"}


def test_masks_inside_the_input_folder_are_not_restored():
    pictures("in/a.png", "in/masks/a.png", "in/one.png")
    assert planned("in", to="out", mask="in/masks").keys() == {"in/a.png", "in/one.png"}
    assert "in/one.png" not in planned("in", to="out", mask="in/one.png")


def test_an_output_around_the_input_folder_hides_nothing():
    pictures("all/in/a.png")
    assert planned("all/in", to="all") == {"all/in/a.png": "all/a.png"}


def test_one_mask_serves_all():
    pictures("in/a.png", "in/b.png", "m.png")
    assert set(masks_of(plan([Path("in")], Path("out"), Path("m.png"))).values()) == {"m.png"}


def test_masks_of_a_folder_are_found_by_name_whatever_their_suffix():
    pictures("in/a.jpg", "in/x/b.png", "in/c.v1.png", "in/d.png")
    pictures("m/a.PNG", "m/x/b.png", "m/c.v1.bmp", "m/d.bmp", "m/d.png")
    assert masks_of(plan([Path("in")], Path("out"), Path("m"))) == {
        "in/a.jpg": "m/a.PNG",
        "in/x/b.png": "m/x/b.png",
        "in/c.v1.png": "m/c.v1.bmp",
        "in/d.png": "m/d.png",
    }


def test_a_mask_path_that_is_not_there_stops_all():
    pictures("a.png")
    assert refused("a.png", to="b.png", mask="m.png", error=MaskError).startswith("m.png does not")


def test_only_what_fits_the_patterns_below_the_folder_is_taken():
    pictures("in/a.png", "in/x/b.png", "in/x/y/c.jpg", "in/x/draft_d.png")
    assert planned("in", to="out", include=["*.png"], exclude=["*draft*"]).keys() == {
        "in/a.png",
        "in/x/b.png",
    }
    assert planned("in", to="out", include=["x/*.jpg", "a.*"]).keys() == {
        "in/a.png",
        "in/x/y/c.jpg",
    }
    assert planned("in", to="out", exclude=["x/*"]).keys() == {"in/a.png"}


def test_patterns_that_leave_nothing_are_a_sentence():
    pictures("in/a.png")
    assert "no picture matches" in refused("in", to="out", include=["*.jpg"])
    assert "no picture matches" in refused("in", to="out", exclude=["*"])


def test_the_folder_of_the_pictures_is_not_the_folder_of_the_outputs():
    pictures("in/a.jpg")
    assert "outputs would become inputs" in refused("in", to="in", suffix=".png")
    Path("link").symlink_to("in")
    assert "outputs would become inputs" in refused("in", to="link", suffix=".png")


def test_an_output_that_the_next_run_would_restore_is_refused():
    pictures("all/in/in/a.png")
    assert "all/in/a.png would be an input of the next run" in refused("all/in", to="all")


def test_names_that_differ_in_the_case_of_letters_alone_are_refused():
    pictures("x/Photo.png", "y/photo.png")
    assert "out/Photo.png and out/photo.png would be one file" in refused("x", "y", to="out")


def test_names_that_spell_an_accent_otherwise_are_refused():
    pictures("x/\u00e9.png", "y/e\u0301.png")
    assert "would be one file" in refused("x", "y", to="out")


def test_an_input_by_another_name_is_still_an_input():
    pictures("in/a.png")
    Path("out").mkdir()
    Path("out/a.png").hardlink_to("in/a.png")
    assert "is an input" in refused("in", to="out")


def test_a_folder_that_cannot_be_listed_is_warned_of(monkeypatch, caplog):
    pictures("in/a.png", "in/locked/b.png")
    list_folder = os.scandir

    def scandir(folder):
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied", str(folder))
        return list_folder(folder)

    monkeypatch.setattr(os, "scandir", scandir)  # rights do not bind a test that runs as root
    assert [job.source for job in plan([Path("in")], Path("out"))] == [Path("in/a.png")]
    assert "in/locked can't be listed (Permission denied)" in caplog.text
