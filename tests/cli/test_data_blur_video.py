"""diffir data blur-video, from videos to pairs, and its sentences."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from skimage import data
from typer.testing import CliRunner, Result

from diffir.cli.app import app


def pan(count: int) -> list[np.ndarray]:
    photo = data.astronaut()
    return [np.ascontiguousarray(photo[80:144, 3 * i : 3 * i + 96]) for i in range(count)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a video of 20 frames, a folder of 8, and a text that poses as a video."""
    monkeypatch.chdir(tmp_path)
    with av.open("film.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for pixels in pan(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    Path("walk").mkdir()
    for index, pixels in enumerate(pan(8)):
        Image.fromarray(pixels).save(f"walk/{index:03d}.png")
    Path("text.mp4").write_text("no video")
    return tmp_path


def blur(*words: str) -> Result:
    return CliRunner().invoke(app, ["data", "blur-video", *words, "-o", "set"])


def pairs(kind: str) -> dict[str, bytes]:
    root = Path("set") / kind
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.png")}


def test_videos_and_folders_become_pairs() -> None:
    result = blur("film.mp4", "walk", "--frames", "7")
    assert result.exit_code == 0, result.output
    assert "film.mp4: 2 pairs made, from 20 frames with 0 cuts" in result.output
    assert "walk: 1 pair made, from 8 frames with 0 cuts" in result.output
    assert "3 pairs made from 2 clips, 0 failed" in result.output
    names = {"film/000000.png", "film/000001.png", "walk/000000.png"}
    assert set(pairs("gt")) == set(pairs("lq")) == names


def test_a_second_run_goes_on_and_a_new_one_of_the_same_seed_gives_the_same_bits() -> None:
    blur("film.mp4", "--frames", "3-7", "--seed", "5")
    first = pairs("lq")
    Path("set/lq/film/000001.png").unlink()
    result = blur("film.mp4", "--frames", "3-7", "--seed", "5")
    assert f"1 pair made, {len(first) - 1} existed" in result.output
    assert pairs("lq") == first
    result = blur("film.mp4", "--frames", "3-7", "--seed", "5", "--overwrite")
    assert f"{len(first)} pairs made, from" in result.output
    assert pairs("lq") == first
    blur("film.mp4", "--frames", "3-7", "--seed", "6", "--overwrite")
    assert pairs("lq") != first


def test_all_options_arrive() -> None:
    result = blur("walk", "--frames", "3", "--step", "1", "--gamma", "1", "--sharp", "first")
    assert result.exit_code == 0, result.output
    assert len(pairs("gt")) == 6
    assert np.array_equal(Image.open("set/gt/walk/000002.png"), Image.open("walk/002.png"))
    lq = np.asarray(Image.open("set/lq/walk/000002.png"))
    np.testing.assert_allclose(lq, np.mean(pan(5)[2:], axis=0), atol=0.501)  # rounded


def test_a_cut_of_one_finds_none_and_a_small_one_many() -> None:
    assert "with 0 cuts" in blur("walk", "--cut", "1").output
    assert "8 frames in 8 scenes" in blur("walk", "--cut", "0.0001", "--overwrite").output


def test_a_bad_video_fails_in_a_line_while_others_go_on() -> None:
    result = blur("text.mp4", "walk")
    assert result.exit_code == 2
    assert "failed: text.mp4 cannot be read as a video" in result.output
    assert "1 pair made from 1 clip, 1 failed" in result.output
    assert set(pairs("gt")) == {"walk/000000.png"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["none.mp4"], "none.mp4 does not exist; give a video or a folder of frames"),
        (["text.mp4"], "text.mp4 cannot be read as a video"),
        (["walk", "--frames", "9"], "walk has 8 frames, but a window needs 9"),
        (["walk", "--frames", "8"], "an odd number of frames is wanted"),
        (["walk", "--frames", "9-7"], "the smaller number comes first"),
        (["walk", "--frames", "many"], "--frames many found; give an odd number or a range"),
        (["walk", "--gamma", "0"], "--gamma: Input should be greater than 0 (0.0 found)"),
        (["walk", "--cut", "2"], "--cut: Input should be less than or equal to 1 (2.0 found)"),
    ],
)
def test_a_mistake_is_a_sentence_and_writes_nothing(words: list[str], sentence: str) -> None:
    result = blur(*words)
    assert result.exit_code == 2
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert not Path("set").exists()


def test_a_file_for_the_pairs_is_a_sentence() -> None:
    Path("set").touch()
    result = blur("walk")
    assert result.exit_code == 2
    assert "set is a file; choose a folder" in result.output


def test_pairs_do_not_come_to_lie_among_the_frames() -> None:
    for inside in ("walk", "walk/set"):
        result = CliRunner().invoke(app, ["data", "blur-video", "walk", "-o", inside])
        assert result.exit_code == 2
        assert "the source; choose a folder outside it" in result.output
    assert not any(path.is_dir() for path in Path("walk").iterdir())
