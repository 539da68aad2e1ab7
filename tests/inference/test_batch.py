"""No file stops the rest, and what is there stays unless somebody wants it replaced."""

import os
import time
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from official import network, toy
from PIL import Image

from diffir.images import decode, read
from diffir.inference import Restorer, batch
from diffir.inference.batch import restore_files
from diffir.inference.jobs import plan
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

    def greedy(data, name, max_pixels):
        if name == "a.png":
            raise MemoryError
        return decode(data, name, max_pixels=max_pixels)

    monkeypatch.setattr(batch, "decode", greedy)
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
    skipped = [outcome.skipped for outcome in restore_files(deblur, jobs)]
    assert skipped == ["exists", None]
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


def test_what_the_output_cannot_hold_is_told_before_the_network_runs(deblur, monkeypatch):
    pictures("in/a.png", array=np.dstack([PIXELS, HOLES]))
    pictures("in/b.png", array=np.zeros((1, 65_501, 3), np.uint8))
    monkeypatch.setattr(Restorer, "restore_batch", None)  # whose call would be a TypeError
    first, second = restore_files(deblur, plan([Path("in")], Path("out"), suffix=".jpg"))
    assert first.error.startswith("out/a.jpg: JPEG cannot hold its transparency")
    assert second.error.startswith("out/b.jpg: JPEG holds at most 65500 pixels a side, 65501 x 1")


def test_the_restored_size_is_what_the_output_must_hold():
    enlarge = Restorer(network(2, toy("sr-x4")), TASKS["sr"], device="cpu")
    pictures("a.png", array=np.zeros((1, 4096, 3), np.uint8))
    (outcome,) = restore_files(enlarge, plan([Path("a.png")], Path("a.webp")))
    assert "at most 16383 pixels a side, 16384 x 4" in outcome.error


def test_transparency_that_inpainting_fills_may_become_a_jpeg(inpaint):
    pictures("a.png", array=np.dstack([PIXELS, 255 - HOLES]))
    (outcome,) = restore_files(inpaint, plan([Path("a.png")], Path("b.jpg")))
    assert outcome.error is None


def test_every_picture_gets_the_noise_of_the_seed(deblur):
    pictures("in/a.png", "in/b.png")
    list(restore_files(deblur, plan([Path("in")], Path("out")), seed=3))
    expected = deblur(PIXELS, seed=3).to_array()
    for name in ("out/a.png", "out/b.png"):
        np.testing.assert_array_equal(read(name).to_array(), expected)


@pytest.mark.usefixtures("stripes_at_any_size")
def test_the_next_file_is_read_while_one_is_restored(deblur, monkeypatch):
    pictures("a.png", "b.png")
    begun = Event()

    def noticed(data, name, max_pixels):
        if name == "b.png":
            begun.set()
        return decode(data, name, max_pixels=max_pixels)

    monkeypatch.setattr(batch, "decode", noticed)
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


@pytest.mark.usefixtures("stripes_at_any_size")
def test_progress_counts_files_and_the_share_of_the_one_under_way(deblur):
    pictures("in/a.png", "in/b.png")
    Path("in/broken.png").write_text("no picture")
    told = []
    list(restore_files(deblur, plan([Path("in")], Path("out")), progress=told.append))
    assert told == sorted(told)
    assert told[-1] == 2  # the broken one is the third, and tells nothing
    assert any(0 < done < 1 for done in told)


def test_a_source_that_is_gone_when_its_turn_comes_is_an_error_of_its_own(deblur):
    pictures("in/a.png", "in/b.png")
    jobs = plan([Path("in")], Path("out"))
    Path("in/a.png").unlink()
    outcomes = list(restore_files(deblur, jobs))
    assert "in/a.png cannot be read (No such file" in outcomes[0].error
    assert outcomes[1].error is None


def test_a_file_that_appears_meanwhile_is_not_replaced(deblur):
    pictures("in/a.png")
    jobs = plan([Path("in")], Path("out"))

    def appear(_share):
        Path("out").mkdir(exist_ok=True)
        Path("out/a.png").write_text("mine")

    (outcome,) = restore_files(deblur, jobs, progress=appear)
    assert outcome.error.startswith("out/a.png: the file exists")
    assert Path("out/a.png").read_text() == "mine"


def test_a_folder_where_a_file_should_go_is_told_and_the_rest_goes_on(deblur):
    pictures("in/a.png", "in/b.png")
    Path("out/a.png").mkdir(parents=True)
    jobs = plan([Path("in")], Path("out"))
    first, second = restore_files(deblur, jobs, overwrite=True)
    assert first.error == "out/a.png is a folder; rename it, or choose another output"
    assert second.error is None
    assert [path.name for path in sorted(Path("out").iterdir())] == ["a.png", "b.png"]


def test_a_name_that_only_the_output_makes_too_long_fails_alone(deblur):
    long = "x" * 251
    pictures("in/a.png", f"in/{long}.png")
    Path("out").mkdir()
    jobs = plan([Path("in")], Path("out"), suffix=".tiff")
    for overwrite in (False, True):
        first, second = restore_files(deblur, jobs, overwrite=overwrite)
        assert first.error is None
        assert second.error.startswith(f"out/{long}.tiff cannot be accessed (File name too long)")


def test_a_file_is_read_once_and_so_may_be_a_pipe(deblur):
    pictures("a.png")
    ours, theirs = os.pipe()
    os.write(theirs, Path("a.png").read_bytes())  # far less than a pipe holds
    os.close(theirs)
    try:
        (outcome,) = restore_files(deblur, plan([Path(f"/dev/fd/{ours}")], Path("out.png")))
    finally:
        os.close(ours)
    assert outcome.error is None
    np.testing.assert_array_equal(read("out.png").to_array(), deblur(PIXELS).to_array())


def test_links_to_nothing_fail_and_the_rest_goes_on(deblur):
    pictures("in/a.png")
    Path("in/b.png").symlink_to("gone.png")
    Path("in/c.png").symlink_to("c.png")  # to itself
    Path("in/notes.txt").symlink_to("gone.txt")
    outcomes = list(restore_files(deblur, plan([Path("in")], Path("in/out"))))
    assert [outcome.job.source.name for outcome in outcomes] == ["a.png", "b.png", "c.png"]
    assert outcomes[0].error is None
    assert outcomes[1].error.startswith("in/b.png cannot be read (No such file")
    assert outcomes[2].error.startswith("in/c.png cannot be read (Too many levels")
