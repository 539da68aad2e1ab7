"""diffir data masks and mask-stats: a fixed set in files, and what it covers."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from diffir.cli.app import app
from diffir.data.masks import MASKS, mask_set


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["data", *words])


def files() -> list[Path]:
    return sorted(Path("set").glob("*"))


def test_the_set_is_that_of_the_library_white_where_there_is_a_hole() -> None:
    result = run("masks", "medium-256", "set", "--count", "3", "--seed", "7")
    assert result.exit_code == 0, result.output
    wanted = [*mask_set(3, 256, 256, MASKS["medium-256"], (7,))]
    assert [path.name for path in files()] == ["00000.png", "00001.png", "00002.png"]
    for path, mask in zip(files(), wanted, strict=True):
        assert np.array_equal(np.asarray(Image.open(path)), mask * 255)


def test_coverage_is_printed_with_a_histogram() -> None:
    result = run("masks", "wide-256", "set", "--count", "8")
    shares = [mask.mean() for mask in mask_set(8, 256, 256, MASKS["wide-256"], (0,))]
    assert "8 masks of 256×256 in set" in result.output
    assert (
        f"hole: {np.mean(shares):.1%} on average, from {min(shares):.1%} to {max(shares):.1%}"
        in result.output
    )
    bars = [line for line in result.output.splitlines() if "% to " in line and "hole" not in line]
    counts = np.histogram(shares, bins=10, range=(0, 1))[0].tolist()
    assert [int(line.split()[-1]) for line in bars] == counts
    longest = max(line.count("#") for line in bars)
    assert [line.count("#") == longest for line in bars] == [c == max(counts) for c in counts]
    assert run("mask-stats", "set").output == result.output.split("\n", 1)[1]


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (["narrow-512"], (512, 512)),
        (["everyday"], (256, 256)),
        (["everyday", "--size", "64"], (64, 64)),
        (["narrow-512", "--size", "96x64"], (96, 64)),
    ],
)
def test_the_size_is_the_names_or_that_asked_for(words: list[str], size: tuple[int, int]) -> None:
    result = run("masks", words[0], "set", "--count", "1", *words[1:])
    assert result.exit_code == 0, result.output
    assert Image.open("set/00000.png").size == size


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["wide", "set"], "'wide' found; wanted one of wide-"),
        (["everyday", "set", "--size", "64x"], "--size 64x found; give 256 or"),
        (["everyday", "set", "--size", "0"], "--size 0 found; give 256 or"),
        (["everyday", "set", "--size", "4"], "each side must be 16 to 16384 pixels"),
        (["everyday", "set", "--size", "64x99999"], "each side must be 16 to 16384 pixels"),
    ],
)
def test_a_mistake_is_a_sentence_and_writes_nothing(words: list[str], sentence: str) -> None:
    result = run("masks", *words)
    assert result.exit_code == 2
    assert sentence in result.output
    assert not Path("set").exists()


def test_a_folder_with_pictures_is_not_written_into_unless_asked_for() -> None:
    Path("set").mkdir()
    Path("set/photo.jpg").write_bytes(b"mine")
    result = run("masks", "everyday", "set", "--count", "2")
    assert result.exit_code == 2
    assert "set has pictures; choose another folder or add --overwrite" in result.output
    assert len(files()) == 1
    result = run("masks", "everyday", "set", "--count", "2", "--overwrite")
    assert "set also has 1 picture from elsewhere" in result.output
    assert Path("set/photo.jpg").read_bytes() == b"mine"
    assert len(files()) == 3


def test_a_file_for_the_masks_is_a_sentence() -> None:
    Path("set").touch()
    result = run("masks", "everyday", "set")
    assert result.exit_code == 2
    assert "set is a file; choose a folder for the masks" in result.output


def test_masks_made_elsewhere_are_measured_and_what_is_none_is_a_sentence() -> None:
    half = np.zeros((10, 10), np.uint8)
    half[:5] = 255
    Image.fromarray(half).save("half.png")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save("none.png")
    result = run("mask-stats", "half.png", "none.png")
    assert "hole: 25.0% on average, from 0.0% to 50.0%" in result.output
    Path("text.png").write_text("no mask")
    for name, sentence in {"text.png": "not a picture", "nowhere": "does not exist"}.items():
        result = run("mask-stats", name)
        assert result.exit_code == 2
        assert sentence in result.output
