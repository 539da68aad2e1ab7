"""diffir video: its words, its sentences, and a full disk."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result
from video.clips import Made, make, shown

import diffir.cli.video  # noqa: F401  (registers the verb)
from diffir.cli.app import app
from diffir.video.work import SEGMENT

CLIP = Made(frames=4, size=(48, 32))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a clip."""
    monkeypatch.chdir(tmp_path)
    make(Path("in.mkv"), CLIP)
    return tmp_path


@pytest.fixture
def video(weights: dict[str, str]):
    """Runs `diffir video`."""

    def run(*words: str, model: str = "deblur") -> Result:
        words = ("video", *words, "--model", weights[model], "--device", "cpu")
        return CliRunner().invoke(app, words)

    return run


def refused(result: Result, *words: str) -> None:
    """See one sentence with some words, and exit code 2."""
    assert result.exit_code == 2, result.output
    lines = [line for line in result.output.splitlines() if line.strip()]
    assert len(lines) == 1, result.output
    assert lines[0].startswith("error: ")
    assert all(word in lines[0] for word in words), lines[0]


def leftovers() -> set[str]:
    return {path.name for path in Path().iterdir()}


def test_a_video_is_restored_and_nothing_else_is_left(video) -> None:
    result = video("in.mkv", "-o", "deep/out.mp4", model="sr-x2")
    assert result.exit_code == 0, result.output
    assert "in.mkv → deep/out.mp4: 4 frames of 96×64, in 0:0" in result.output
    assert [path.name for path in Path("deep").iterdir()] == ["out.mp4"]
    assert len(shown(Path("deep/out.mp4"))) == 4


def without_pictures() -> None:
    with av.open("bad.mp4", "w") as out:
        sound = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        out.mux(sound.encode(frame))
        out.mux(sound.encode())


def without_header() -> None:
    make(Path("whole.mp4"), replace(CLIP, frames=20))
    data = Path("whole.mp4").read_bytes()
    Path("bad.mp4").write_bytes(data[: len(data) // 2])  # the header of an MP4 is its end


def without_end() -> None:
    make(Path("whole.mkv"), replace(CLIP, frames=100))
    data = Path("whole.mkv").read_bytes()
    Path("bad.mp4").write_bytes(data[: len(data) // 3])


def with_damage() -> None:
    make(Path("whole.mp4"), replace(CLIP, frames=40))
    data = bytearray(Path("whole.mp4").read_bytes())
    middle = len(data) // 2  # among the pictures: what describes them is the end
    data[middle : middle + 600] = bytes(600)
    Path("bad.mp4").write_bytes(data)


def with_a_broken_picture() -> None:
    make(Path("whole.mov"), replace(CLIP, frames=9, codec="png", pixels="rgb24", options={}))
    data = bytearray(Path("whole.mov").read_bytes())
    fourth = [at for at in range(len(data)) if data[at : at + 4] == b"IDAT"][3]
    data[fourth : fourth + 400] = bytes(400)
    Path("bad.mp4").write_bytes(data)


def as_a_picture() -> None:
    Image.new("RGB", (48, 32)).save("bad.png")
    Path("bad.png").rename("bad.mp4")


BAD = {
    without_pictures: "no video stream",
    without_header: "cannot be read as a video",
    without_end: "so part of it is missing",
    with_damage: "damaged at frame",
    with_a_broken_picture: "damaged at frame",
    as_a_picture: "use `diffir restore`",
    (lambda: Path("bad.mp4").write_text("no video\n" * 99)): "cannot be read as a video",
    (lambda: Path("bad.mp4").write_bytes(b"")): "cannot be read as a video",
    (lambda: Path("bad.mp4").mkdir()): "is a folder",
    (lambda: None): "does not exist",
}


@pytest.mark.parametrize("spoil", BAD, ids=[*(f"bad{i}" for i in range(len(BAD)))])
def test_bad_input_is_one_sentence(video, spoil) -> None:
    spoil()
    refused(video("bad.mp4", "-o", "out.mkv"), "bad.mp4", BAD[spoil])
    assert not any(name.startswith("out") for name in leftovers())


def test_the_output_is_never_the_input(video) -> None:
    before = Path("in.mkv").read_bytes()
    Path("link.mkv").symlink_to("in.mkv")
    for name in ("in.mkv", "link.mkv"):
        refused(video("in.mkv", "-o", name, "--overwrite"), "is the input")
    assert Path("in.mkv").read_bytes() == before


def test_what_is_there_is_replaced_on_request_alone(video) -> None:
    Path("out.mkv").write_text("old")
    refused(video("in.mkv", "-o", "out.mkv"), "out.mkv exists", "--overwrite")
    assert video("in.mkv", "-o", "out.mkv", "--overwrite").exit_code == 0
    assert len(shown(Path("out.mkv"))) == 4


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("-o", "out.txt"), "does not have the suffix of a supported video format"),
        (("-o", "out.mkv", "--smooth", "0"), "--smooth 0"),
        (("-o", "out.mkv", "--detail", "2"), "detail 2 found; wanted a number from 0 to 1"),
        (("-o", "out.mkv", "--memory", "much"), "much"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(video, words, found) -> None:
    refused(video("in.mkv", *words), found)
    assert leftovers() == {"in.mkv"}


def test_a_task_with_masks_is_refused(video) -> None:
    refused(video("in.mkv", "-o", "out.mkv", model="inpaint"), "needs a mask")


def test_what_a_container_cannot_hold_is_said_before_the_work(video) -> None:
    make(Path("sub.mkv"), replace(CLIP, subtitles="srt", sound="aac"))
    refused(video("sub.mkv", "-o", "out.mp4"), "subtitles (srt)", ".mkv")
    refused(video("sub.mkv", "-o", "out.webm"), "sound (aac)", ".mkv")
    assert leftovers() == {"in.mkv", "sub.mkv"}


def test_sound_that_cannot_be_copied_is_said_before_the_work(video) -> None:
    make(Path("whole.ts"), replace(CLIP, frames=40, sound="aac"))
    data = bytearray(Path("whole.ts").read_bytes())
    heads = [at for at in range(len(data)) if data[at] == 255 and data[at + 1] & 0xF6 == 0xF0]
    for at in heads[40:48]:  # of packets of sound
        data[at + 1] = 0
    Path("bad.ts").write_bytes(data)
    refused(video("bad.ts", "-o", "out.mp4"), ".mp4 cannot hold all streams of bad.ts")
    assert leftovers() == {"in.mkv", "whole.ts", "bad.ts"}


def test_what_an_encoder_cannot_take_is_said_before_the_work(video) -> None:
    with av.open("wide.mkv", "w") as out:
        stream = out.add_stream("ffv1", rate=25, width=9000, height=16, pix_fmt="gray")
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 9000), np.uint8), "gray")))
        out.mux(stream.encode())
    refused(video("wide.mkv", "-o", "out.mkv", model="sr-x2"), "18000×32", "libx264")
    assert leftovers() == {"in.mkv", "wide.mkv"}


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_work_of_other_settings_is_not_mixed_in_unless_all_is_made_anew(video, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("diffir.video.restore.join", interrupt)
        assert video("in.mkv", "-o", "out.mkv").exit_code == 130
    refused(video("in.mkv", "-o", "out.mkv", "--seed", "1"), "started with seed 0, not 1")
    refused(video("in.mkv", "-o", "out.mkv", "--smooth", "2"), "started with smooth off, not 2")
    refused(
        video("in.mkv", "-o", "out.mkv", "--quality", "9"), "started with another --quality; add"
    )
    assert video("in.mkv", "-o", "out.mkv", "--seed", "1", "--overwrite").exit_code == 0
    assert video("in.mkv", "-o", "fresh.mkv", "--seed", "1").exit_code == 0
    assert Path("out.mkv").read_bytes() == Path("fresh.mkv").read_bytes()
    assert leftovers() == {"in.mkv", "out.mkv", "fresh.mkv"}


def test_a_segment_that_a_disk_cut_is_made_anew(video, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("diffir.video.restore.join", interrupt)
        assert video("in.mkv", "-o", "out.mkv").exit_code == 130
    segment = Path("out.mkv.unfinished/000000.segment")
    for share in (0.75, 0.001):
        whole = segment.read_bytes()
        segment.write_bytes(whole[: int(len(whole) * share)])
        with monkeypatch.context() as patch:
            patch.setattr("diffir.video.restore.join", interrupt)
            assert video("in.mkv", "-o", "out.mkv").exit_code == 130
        assert segment.read_bytes() == whole
    assert video("in.mkv", "-o", "out.mkv").exit_code == 0
    assert video("in.mkv", "-o", "fresh.mkv").exit_code == 0
    assert Path("out.mkv").read_bytes() == Path("fresh.mkv").read_bytes()


def test_work_without_a_frame_stands_in_nobodys_way(video) -> None:
    refused(video("in.mkv", "-o", "out.mkv", "--memory", "1MB"), "the memory limit is 1 MB")
    assert video("in.mkv", "-o", "out.mkv", "--seed", "1").exit_code == 0
    assert leftovers() == {"in.mkv", "out.mkv"}


def test_a_second_run_waits_its_turn(video) -> None:
    import fcntl

    work = Path("out.mkv.unfinished")
    work.mkdir()
    with (work / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused(video("in.mkv", "-o", "out.mkv"), "another run is making out.mkv")


@contextmanager
def limited(size: int) -> Iterator[None]:
    """No file may grow beyond some bytes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_loses_nothing_and_the_same_command_goes_on(video) -> None:
    make(Path("long.mkv"), replace(CLIP, frames=2 * SEGMENT))
    assert video("long.mkv", "-o", "whole.mkv").exit_code == 0
    size = Path("whole.mkv").stat().st_size
    with limited(size * 3 // 4):  # a segment fits, the video doesn't
        refused(video("long.mkv", "-o", "out.mkv"), "check the path, its permissions")
    assert "out.mkv" not in leftovers()
    assert len(list(Path("out.mkv.unfinished").glob("*.segment"))) == 2
    result = video("long.mkv", "-o", "out.mkv")
    assert result.exit_code == 0, result.output
    assert f"{2 * SEGMENT} of them by an earlier run" in result.output
    assert Path("out.mkv").read_bytes() == Path("whole.mkv").read_bytes()
    assert not any(name.endswith(".part") for name in leftovers())


def test_a_log_is_told_the_frames_and_the_time_left(video, monkeypatch) -> None:
    monkeypatch.setattr("diffir.cli.video.EVERY", 0.0)
    lines = video("in.mkv", "-o", "out.mkv").output.splitlines()
    assert any(line.startswith("restored 2 of 4 frames, 0:0") for line in lines)


def test_an_interruption_says_where_the_work_lies(video, monkeypatch) -> None:
    monkeypatch.setattr("diffir.video.restore.join", interrupt)
    result = video("in.mkv", "-o", "out.mkv")
    assert result.exit_code == 130
    assert "out.mkv.unfinished; the same command continues" in result.output
    assert Path("out.mkv.unfinished/000000.segment").exists()


def test_a_missing_or_old_pyav_is_one_sentence(video, monkeypatch) -> None:
    monkeypatch.setattr(av, "__version__", "14.2.0")
    refused(video("in.mkv", "-o", "out.mkv"), "PyAV 14.2.0 found", "pip install 'av>=18'")
    monkeypatch.setitem(sys.modules, "av", None)
    refused(video("in.mkv", "-o", "out.mkv"), "no PyAV found", "pip install 'av>=18'")


def test_transparency_that_is_lost_is_noted(video) -> None:
    make(Path("clear.mkv"), replace(CLIP, codec="ffv1", pixels="yuva420p", options={}))
    result = video("clear.mkv", "-o", "out.mkv")
    assert result.exit_code == 0, result.output
    assert "note: clear.mkv has transparency" in result.output
