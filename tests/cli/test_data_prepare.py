"""diffir data prepare: from unpacked sets to what training reads."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from typer.testing import CliRunner, Result

from diffir.cli.app import app
from diffir.data.prepare_sets import PUBLIC_SETS

PHOTO = np.ascontiguousarray(data.astronaut()[:40, 200:250])  # 50 wide, 40 high


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("raw/DIV2K_train_HR", "raw/GOPRO_Large/train/scene"):
        Path(folder).mkdir(parents=True)
    Image.fromarray(PHOTO).save("raw/DIV2K_train_HR/0001.png")
    for kind in ("blur", "sharp"):
        Path(f"raw/GOPRO_Large/train/scene/{kind}").mkdir()
        Image.fromarray(PHOTO).save(f"raw/GOPRO_Large/train/scene/{kind}/1.png")


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["data", "prepare", *words])


def crops(folder: str = "made") -> list[Path]:
    return sorted(Path(folder, "gt").rglob("*.png"))


def test_source_and_terms_are_told_before_and_the_count_after() -> None:
    result = run("div2k", "raw", "made", "--size", "20")
    assert result.exit_code == 0, result.output
    assert "https://data.vision.ee.ethz.ch/cvl/DIV2K/; terms: see the page" in result.stdout
    assert "making crops of 20×20 every 10 pixels, of pictures" in result.stdout
    assert "12 pictures in made, 12 of them made now, from 1 picture;" in result.stdout
    assert "train with --data made" in result.stdout
    assert len(crops()) == 12
    assert "0 of them made now" in run("div2k", "raw", "made", "--size", "20").stdout


def test_a_small_picture_is_kept_as_it_is_where_the_usual_crops_are_larger() -> None:
    assert run("div2k", "raw", "made").exit_code == 0
    assert [np.asarray(Image.open(path)).shape for path in crops()] == [PHOTO.shape]


def test_pairs_come_with_their_lq() -> None:
    result = run("gopro", "raw", "made")
    assert "1 pair in made" in result.stdout
    assert Path("made/lq/scene/1_s001.png").exists()


def test_the_blur_of_gopro_is_the_one_asked_for() -> None:
    Path("raw/GOPRO_Large/train/scene/blur_gamma").mkdir()
    Image.fromarray(PHOTO // 2).save("raw/GOPRO_Large/train/scene/blur_gamma/1.png")
    assert run("gopro", "raw", "made", "--size", "0", "--blur", "blur_gamma").exit_code == 0
    assert np.array_equal(Image.open("made/lq/scene/1.png"), PHOTO // 2)


def test_scales_and_edge_are_those_asked_for() -> None:
    assert run("div2k", "raw", "made", "--scales", "1,1/2", "--edge", "10").exit_code == 0
    sizes = {path.parent.name: Image.open(path).size for path in crops()}
    assert sizes == {"x1": (50, 40), "x0.5": (25, 20), "edge10": (12, 10)}


def test_bad_files_are_told_on_stderr_and_skipped_or_stop() -> None:
    Path("raw/DIV2K_train_HR/0002.png").write_text("text")
    result = run("div2k", "raw", "made")
    assert result.exit_code == 0
    assert "left out: raw/DIV2K_train_HR/0002.png: not a picture" in result.stderr
    assert "from 2 pictures, 1 left out" in result.stdout
    result = run("div2k", "raw", "other", "--on-bad", "stop")
    assert result.exit_code == 2
    assert "error: raw/DIV2K_train_HR/0002.png: not a picture" in result.stderr


def test_the_list_tells_of_every_set_its_page_and_its_terms() -> None:
    result = run("--list")
    assert result.exit_code == 0
    for name, public in PUBLIC_SETS.items():
        assert f"{name}: {public.title}" in result.stdout
        assert public.page in result.stdout
        assert f"terms: {public.terms}" in result.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["div3k", "raw", "made"], "set 'div3k' found; wanted one of div2k, "),
        (["div2k", "nowhere", "made"], "nowhere does not exist; give the folder"),
        (["div2k", "raw/DIV2K_train_HR/0001.png", "made"], "is a file; unpack it"),
        (["flickr2k", "raw", "made"], "raw has no folder Flickr2K_HR; wanted"),
        (["flickr2k", "raw", "made", "--split", "test"], "Flickr2K has no test part"),
        (["div2k", "raw", "raw"], "raw is raw, the source"),
        (["div2k", "raw", "raw/made"], "raw/made lies in raw, the source"),
        (["div2k", "raw", "raw/DIV2K_train_HR/0001.png"], "lies in raw"),
        (["div2k", "raw", "file"], "file is a file; choose a folder"),
        (["div2k", "raw", "made", "--step", "999"], "size 480 and step 999 found"),
        (["div2k", "raw", "made", "--scales", "half"], "scales half found; wanted numbers"),
        (["gopro", "raw", "made", "--scales", "1/2"], "pairs are not scaled"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(words: list[str], sentence: str) -> None:
    Path("file").touch()
    result = run(*words)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("made").exists()


def test_who_presses_ctrl_c_twice_gets_a_sentence_and_an_end() -> None:
    photo = Path("raw/DIV2K_train_HR/0002.png")
    Image.fromarray(data.astronaut()).save(photo)
    for index in range(3, 20):
        shutil.copy(photo, photo.with_stem(f"{index:04d}"))
    words = [
        "data",
        "prepare",
        "div2k",
        "raw",
        "made",
        "--jobs",
        "2",
        "--size",
        "64",
        "--step",
        "8",
    ]
    run = subprocess.Popen(
        [sys.executable, "-m", "diffir", *words], stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        while run.poll() is None and not crops():
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGINT)
        time.sleep(0.02)  # it waits for what is under way by now, or has ended
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGINT)
        _, said = run.communicate(timeout=60)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode == 130
    assert b"interrupted; finished files are kept" in said
    assert b"Traceback" not in said
    assert len(list(Path("made").rglob("*.part"))) <= 2  # of the threads it did not wait for
