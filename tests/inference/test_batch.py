"""Which file becomes which is decided before anything is written; then no file stops the rest."""

import os
import time
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from official import network, toy
from PIL import Image

from diffir.errors import MaskError, PictureError
from diffir.images import read
from diffir.inference import Restorer, batch
from diffir.inference.batch import Job, plan, restore_files
from diffir.tasks import TASKS

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8)
HOLES = np.zeros((9, 8), np.uint8)
HOLES[2:4, 2:5] = 255


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Everything happens here, by relative names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def deblur() -> Restorer:
    return Restorer(network(2, toy("deblur")), TASKS["deblur"], device="cpu")


@pytest.fixture(scope="module")
def inpaint() -> Restorer:
    return Restorer(network(2, toy("inpaint")), TASKS["inpaint"], device="cpu")


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
    assert "out.gif has no suffix of a picture" in refused("a.png", to="out.gif")


def test_several_pictures_are_not_squeezed_into_one_file():
    pictures("in/a.png", "b.png")
    assert "want a folder" in refused("in", to="out.png")
    assert "want a folder" in refused("in/a.png", "b.png", to="out.png")


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
    assert "can't be written to" in refused("a.png", to="locked/out/b.png")


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


def test_one_missing_mask_is_told_for_its_picture_and_the_rest_goes_on(inpaint):
    pictures("in/a.png", "in/b.png", "in/c.png")
    pictures("m/a.png", "m/c.png", array=HOLES)
    outcomes = list(restore_files(inpaint, plan([Path("in")], Path("out"), Path("m"))))
    assert [bool(outcome.error) for outcome in outcomes] == [False, True, False]
    assert "in/b.png has no mask" in outcomes[1].error
    assert "white = hole" in outcomes[1].error
    result = read("out/c.png").to_array()
    np.testing.assert_array_equal(result[HOLES == 0], PIXELS[HOLES == 0])
    assert not Path("out/b.png").exists()


def test_one_bad_file_never_stops_the_rest(deblur):
    pictures("in/a.png", "in/z.png")
    whole = Path("in/a.png").read_bytes()
    Path("in/cut.png").write_bytes(whole[: len(whole) // 2])
    Path("in/empty.png").touch()
    Path("in/text.jpg").write_text("no picture")
    outcomes = list(restore_files(deblur, plan([Path("in")], Path("out"))))
    assert [bool(outcome.error) for outcome in outcomes] == [False, True, True, True, False]
    assert all(str(outcome.job.source) in outcome.error for outcome in outcomes if outcome.error)
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "z.png"]


def test_lack_of_memory_for_one_picture_does_not_stop_the_rest(deblur, monkeypatch):
    pictures("a.png", "b.png")

    def greedy(path, max_pixels):
        if path.name == "a.png":
            raise MemoryError
        return read(path, max_pixels=max_pixels)

    monkeypatch.setattr("diffir.inference.batch.read", greedy)
    outcomes = list(restore_files(deblur, plan([Path("a.png"), Path("b.png")], Path("out"))))
    assert "a.png: not enough memory" in outcomes[0].error
    assert outcomes[1].error is None


def test_too_large_pictures_are_refused_one_by_one(deblur):
    pictures("a.png")
    pictures("b.png", array=PIXELS[:2])
    jobs = plan([Path("a.png"), Path("b.png")], Path("out"))
    outcomes = list(restore_files(deblur, jobs, max_pixels=20))
    assert "--max-pixels" in outcomes[0].error
    assert outcomes[1].error is None


def test_what_is_there_is_skipped_until_overwriting_is_allowed(deblur):
    pictures("in/a.png", "in/b.png")
    Path("out").mkdir()
    Path("out/a.png").write_text("mine")
    jobs = plan([Path("in")], Path("out"))
    assert [outcome.skipped for outcome in restore_files(deblur, jobs)] == [True, False]
    assert Path("out/a.png").read_text() == "mine"
    again = list(restore_files(deblur, jobs, overwrite=True))
    assert not any(outcome.skipped or outcome.error for outcome in again)
    assert read("out/a.png").width == 8


def test_errors_name_the_picture_to_blame(inpaint):
    pictures("a.png")
    pictures("m.png", array=HOLES[:5])
    (outcome,) = restore_files(inpaint, plan([Path("a.png")], Path("out"), Path("m.png")))
    assert outcome.error.startswith("a.png: the mask is 8×5, the picture 8×9")


def test_a_picture_named_without_suffix_needs_a_format(deblur):
    pictures("a.png")
    Path("a.png").rename("a")
    (outcome,) = restore_files(deblur, plan([Path("a")], Path("out")))
    assert "--format" in outcome.error
    (outcome,) = restore_files(deblur, plan([Path("a")], Path("out"), suffix=".png"))
    assert outcome.error is None


def test_alpha_that_the_output_cannot_hold_is_an_error_and_no_file(deblur):
    pictures("a.png", array=np.dstack([PIXELS, HOLES]))
    (outcome,) = restore_files(deblur, plan([Path("a.png")], Path("b.jpg")))
    assert outcome.error.startswith("b.jpg: JPEG cannot hold its transparency")
    assert not Path("b.jpg").exists()


def test_every_picture_gets_the_noise_of_the_seed(deblur):
    pictures("in/a.png", "in/b.png")
    list(restore_files(deblur, plan([Path("in")], Path("out")), seed=3))
    expected = deblur(PIXELS, seed=3).to_array()
    for name in ("out/a.png", "out/b.png"):
        np.testing.assert_array_equal(read(name).to_array(), expected)


def test_the_next_file_is_read_while_one_is_restored(deblur, monkeypatch):
    pictures("a.png", "b.png")
    begun = Event()

    def noticed(path, max_pixels):
        if path.name == "b.png":
            begun.set()
        return read(path, max_pixels=max_pixels)

    monkeypatch.setattr(batch, "read", noticed)
    seen = []  # waits at the first file's first stripe
    outcomes = restore_files(
        deblur,
        plan([Path("a.png"), Path("b.png")], Path("out")),
        progress=lambda done: seen.append(done < 1 and begun.wait(30)),
    )
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert seen[0]


def test_a_file_is_written_while_the_next_is_restored(deblur):
    pictures("a.png", "b.png")
    there = []

    def wait_for_the_first(done):
        ends = time.monotonic() + 30
        while done > 1 and not Path("out/a.png").exists() and time.monotonic() < ends:
            time.sleep(0.01)
        there.append(Path("out/a.png").exists())

    jobs = plan([Path("a.png"), Path("b.png")], Path("out"))
    outcomes = restore_files(deblur, jobs, progress=wait_for_the_first)
    assert next(outcomes).job.source == Path("a.png")
    assert there[-1]


def test_progress_counts_files_and_the_share_of_the_one_under_way(deblur):
    pictures("in/a.png", "in/b.png")
    Path("in/broken.png").write_text("no picture")
    told = []
    list(restore_files(deblur, plan([Path("in")], Path("out")), progress=told.append))
    assert told == sorted(told)
    assert told[-1] == 2  # the broken one is the third, and tells nothing
    assert any(0 < done < 1 for done in told)
