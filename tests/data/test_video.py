"""Blur from video: which frames add up, how, and what is refused."""

import itertools
import json
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from skimage import data

from diffir.data.motion import average_frames
from diffir.data.pixels import Pixels
from diffir.data.video import (
    FrameBlur,
    PairWriter,
    Tally,
    average,
    clips,
    frame_files,
    frames_of,
    sharp_frame,
    sharp_windows,
)
from diffir.errors import DataError, MissingLibraryError

ASTRONAUT, COFFEE = data.astronaut(), data.coffee()


def pan(count: int, photo: Pixels = ASTRONAUT) -> list[Pixels]:
    """A camera that moves to the right, 3 pixels a frame; frames differ from one another."""
    return [np.ascontiguousarray(photo[80:144, 3 * i : 3 * i + 96]) for i in range(count)]


def numbered(count: int) -> list[Pixels]:
    """Frames that say which they are."""
    return [np.full((4, 4, 3), i, np.uint8) for i in range(count)]


def numbers(windows: Iterator[list[Pixels]]) -> list[list[int]]:
    return [[int(pixels[0, 0, 0]) for pixels in window] for window in windows]


def of_length(count: int, **others: object) -> FrameBlur:
    return FrameBlur.model_validate({"frames": (count, count), **others})


def write_video(path: Path, frames: list[Pixels]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 10_000_000
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def write_frames(folder: Path, frames: list[Pixels]) -> Path:
    folder.mkdir(parents=True)
    for index, pixels in enumerate(frames, 1):
        Image.fromarray(pixels).save(folder / f"frame{index}.png")
    return folder


def files_under(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_windows_are_odd_numbers_of_consecutive_frames_end_to_end() -> None:
    found = numbers(sharp_windows(numbered(200), FrameBlur(), (0,), Tally()))
    assert list(itertools.chain(*found)) == list(range(sum(map(len, found))))
    assert {len(window) for window in found} == {7, 9, 11, 13}
    assert sum(map(len, found)) > 200 - 7


def test_starts_are_a_step_apart_nearer_or_farther_than_a_window() -> None:
    near = numbers(sharp_windows(numbered(10), of_length(5, step=2), (0,), Tally()))
    assert near[:3] == [[0, 1, 2, 3, 4], [2, 3, 4, 5, 6], [4, 5, 6, 7, 8]]
    assert len(near) == 3
    far = numbers(sharp_windows(numbered(16), of_length(3, step=7), (0,), Tally()))
    assert far == [[0, 1, 2], [7, 8, 9]]


def test_the_fewest_frames_give_a_window_whatever_is_drawn() -> None:
    for seed in range(10):
        assert [len(w) for w in sharp_windows(numbered(8), FrameBlur(), (seed,), Tally())] == [7]
    assert list(sharp_windows(numbered(6), FrameBlur(), (0,), Tally())) == []


def test_no_window_crosses_a_cut_and_cuts_are_counted() -> None:
    film, tally = [*pan(9), *pan(8, COFFEE), *pan(3)], Tally()
    places = {pixels.tobytes(): i for i, pixels in enumerate(film[:17])}
    windows = list(sharp_windows(film, of_length(5), (0,), tally))
    found = [[places[pixels.tobytes()] for pixels in window] for window in windows]
    assert found == [[0, 1, 2, 3, 4], [9, 10, 11, 12, 13]]
    assert (tally.frames, tally.cuts) == (20, 2)
    assert len(list(sharp_windows(film, of_length(5, cut=1), (0,), Tally()))) == 4


def test_lq_is_the_mean_as_light_in_8_bits_and_gt_the_middle_frame() -> None:
    frames = pan(7)
    lq, gt = average(frames, 2.2), sharp_frame(frames, of_length(7))
    light = average_frames(torch.from_numpy(np.stack(frames)).double() / 255, 2.2)
    # half a level of rounding, and what float32 adds to it
    np.testing.assert_allclose(lq, light.numpy() * 255, atol=0.501)
    assert (lq.shape, lq.dtype) == (gt.shape, np.uint8)
    assert np.array_equal(gt, frames[3])


def test_any_frame_can_be_the_sharp_one() -> None:
    frames = pan(7)
    for place, index in {"first": 0, "last": 6}.items():
        assert np.array_equal(sharp_frame(frames, of_length(7, sharp=place)), frames[index])


def test_gamma_says_how_bright_a_passing_light_stays() -> None:
    window = [np.full((2, 2, 3), value, np.uint8) for value in (0, 255, 0, 0)]
    assert average(window, 1).max() == round(255 / 4)
    assert average(window, 2.2).max() == round(255 * 0.25 ** (1 / 2.2))


def test_tall_frames_are_averaged_whole() -> None:
    window = [
        np.random.default_rng(i).integers(256, size=(150, 2, 3), dtype=np.uint8) for i in (1, 2)
    ]
    whole = average_frames(torch.from_numpy(np.stack(window)).float() / 255)
    assert np.array_equal(average(window, 2.2), (whole * 255).round().numpy())


def test_frames_that_stand_still_stay_as_they_are() -> None:
    assert np.array_equal(average([ASTRONAUT[:70, :50]] * 7, 2.2), ASTRONAUT[:70, :50])


def test_the_same_seed_gives_the_same_windows_and_another_others() -> None:
    first, again, other = (
        numbers(sharp_windows(numbered(200), FrameBlur(), (seed,), Tally())) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_no_more_than_a_window_of_frames_is_held() -> None:
    side = 256  # 196,608 bytes a frame

    def film() -> Iterator[Pixels]:
        for index in range(100):
            yield np.full((side, side, 3), index, np.uint8)

    tracemalloc.start()
    for _ in sharp_windows(film(), of_length(5, step=3), (0,), Tally()):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * side * side * 3  # a window held, one handed out, and the next frame


@pytest.mark.parametrize("frames", [(8, 8), (13, 7), (1, 7), (7, 12)])
def test_a_window_without_a_middle_or_with_swapped_ends_is_refused(
    frames: tuple[int, int],
) -> None:
    with pytest.raises(ValidationError):
        FrameBlur(frames=frames)


def test_frames_in_a_folder_are_sorted_as_people_count(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", pan(11))
    (tmp_path / "clip" / "notes.txt").touch()
    write_frames(tmp_path / "clip" / "other", pan(1))
    names = [path.name for path in frame_files(tmp_path / "clip")]
    assert names == [f"frame{i}.png" for i in range(1, 12)]


def test_a_folder_gives_pairs_of_equal_names(tmp_path: Path) -> None:
    frames = pan(12)
    [clip] = clips([write_frames(tmp_path / "walk", frames)])
    assert clip.length == 12
    tally = PairWriter(folder=tmp_path / "set", settings=of_length(5)).write(clip)
    assert (tally.frames, tally.made, tally.kept) == (12, 2, 0)
    names = ["walk/000000.png", "walk/000001.png"]
    assert files_under(tmp_path / "set" / "gt") == files_under(tmp_path / "set" / "lq") == names
    gt = np.asarray(Image.open(tmp_path / "set" / "gt" / names[1]))
    lq = np.asarray(Image.open(tmp_path / "set" / "lq" / names[1]))
    assert np.array_equal(gt, frames[7])
    assert np.array_equal(lq, average(frames[5:10], 2.2))


def test_a_video_file_is_read_frame_by_frame(tmp_path: Path) -> None:
    frames = pan(12)
    write_video(tmp_path / "walk.mp4", frames)
    [clip] = clips([tmp_path / "walk.mp4"])
    assert clip.name == "walk"
    found = [frame.pixels for frame in frames_of(clip)]
    assert len(found) == 12
    for pixels, wanted in zip(found, frames, strict=True):
        assert np.abs(pixels.astype(int) - wanted).mean() < 8  # of 255: coded with half the colours


def test_a_phones_video_is_turned_upright(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.mp4", pan(2))
    content = (tmp_path / "walk.mp4").read_bytes()
    place = content.index(b"tkhd") + 44
    clockwise = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    turned = content[:place] + clockwise + content[place + 36 :]
    (tmp_path / "turned.mp4").write_bytes(turned)
    plain, upright = (
        next(frames_of(clip)).pixels
        for clip in clips([tmp_path / "walk.mp4", tmp_path / "turned.mp4"])
    )
    assert np.array_equal(upright, np.rot90(plain, -1))


def test_a_second_run_makes_what_is_missing_and_no_more(tmp_path: Path) -> None:
    [clip] = clips([write_frames(tmp_path / "walk", pan(12))])
    writer = PairWriter(folder=tmp_path / "set", settings=of_length(3))
    writer.write(clip)
    _, lq = writer.pair(clip, 1)
    whole, old = lq.read_bytes(), writer.pair(clip, 0)[1]
    lq.unlink()
    old.write_bytes(b"left alone")
    tally = writer.write(clip)
    assert (tally.made, tally.kept) == (1, 3)
    assert lq.read_bytes() == whole
    assert old.read_bytes() == b"left alone"


def test_pairs_of_other_settings_are_not_mixed_in_unless_all_are_made_anew(tmp_path: Path) -> None:
    [clip] = clips([write_frames(tmp_path / "walk", pan(12))])
    PairWriter(folder=tmp_path, settings=of_length(3)).write(clip)
    other = of_length(5, gamma=1)
    with pytest.raises(DataError, match=r"frames \[3, 3\], not \[5, 5\]; .* --overwrite"):
        PairWriter(folder=tmp_path, settings=other).write(clip)
    assert len(files_under(tmp_path / "gt")) == 4
    PairWriter(folder=tmp_path, settings=other, overwrite=True).write(clip)
    assert len(files_under(tmp_path / "gt")) == len(files_under(tmp_path / "lq")) == 2
    assert json.loads((tmp_path / "walk.json").read_text())["gamma"] == 1


def test_an_unreadable_note_is_a_sentence(tmp_path: Path) -> None:
    [clip] = clips([write_frames(tmp_path / "walk", pan(3))])
    (tmp_path / "walk.json").write_text("{")
    with pytest.raises(DataError, match=r"an unreadable note, walk\.json"):
        PairWriter(folder=tmp_path, settings=of_length(3)).write(clip)


@pytest.mark.parametrize("overwrite", [False, True])
def test_pictures_that_were_not_made_here_are_never_touched(
    tmp_path: Path, overwrite: bool
) -> None:
    [clip] = clips([write_frames(tmp_path / "walk", pan(12))])
    (tmp_path / "set" / "gt" / "walk").mkdir(parents=True)
    (tmp_path / "set" / "gt" / "walk" / "000007.png").write_bytes(b"somebody's")
    with pytest.raises(DataError, match="from elsewhere; choose another folder"):
        PairWriter(folder=tmp_path / "set", overwrite=overwrite).write(clip)
    assert files_under(tmp_path / "set") == ["gt/walk/000007.png"]


def test_a_failed_remake_leaves_what_is_there(tmp_path: Path) -> None:
    [clip] = clips([write_frames(tmp_path / "walk", pan(12))])
    writer = PairWriter(folder=tmp_path / "set", settings=of_length(3), overwrite=True)
    writer.write(clip)
    before = files_under(tmp_path / "set")
    (tmp_path / "walk" / "frame1.png").write_text("no picture")
    with pytest.raises(Exception, match="not a picture"):
        writer.write(clip)
    assert files_under(tmp_path / "set") == before


def test_clips_of_equal_name_are_refused(tmp_path: Path) -> None:
    one, two = (write_frames(tmp_path / side / "walk", pan(1)) for side in ("a", "b"))
    with pytest.raises(DataError, match=r"a/walk and .*b/walk have the same name"):
        clips([one, two])


def test_sources_without_frames_are_sentences(tmp_path: Path) -> None:
    write_frames(tmp_path / "deep" / "walk", pan(1))
    (tmp_path / "empty").mkdir()
    for name, sentence in {
        "none.mp4": "does not exist",
        "empty": "has no picture; give a folder of frames",
        "deep": r"has no picture; give its subfolders, .*deep/\*",
    }.items():
        with pytest.raises(DataError, match=sentence):
            clips([tmp_path / name])


def test_frames_of_several_sizes_are_a_sentence_that_names_the_first_odd_one(
    tmp_path: Path,
) -> None:
    folder = write_frames(tmp_path / "walk", [*pan(2), ASTRONAUT[:64, :95]])
    with pytest.raises(DataError, match=r"frame3\.png is 95×64, those before it are 96×64"):
        PairWriter(folder=tmp_path / "set").write(*clips([folder]))
    assert not (tmp_path / "set").exists()


def test_too_few_frames_in_a_scene_are_a_sentence(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "walk", [*pan(6), *pan(6, COFFEE)])
    with pytest.raises(DataError, match="12 frames in 2 scenes, but a window needs 7"):
        PairWriter(folder=tmp_path / "set").write(*clips([folder]))
    assert not (tmp_path / "set").exists()


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nwalk.ts\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("content", ["", "shopping list\n" * 50, PLAYLIST])
@pytest.mark.parametrize("name", ["list.txt", "list.mp4", "list.m3u8"])
def test_what_is_no_video_is_a_sentence(tmp_path: Path, name: str, content: str) -> None:
    write_video(tmp_path / "walk.ts", pan(12))
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match="cannot be read as a video"):
        PairWriter(folder=tmp_path / "set").write(*clips([tmp_path / name]))
    assert not (tmp_path / "set").exists()


def test_a_video_whose_end_is_missing_is_a_sentence(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.mp4", pan(12))
    content = (tmp_path / "walk.mp4").read_bytes()
    (tmp_path / "walk.mp4").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="give a whole video file"):
        PairWriter(folder=tmp_path / "set").write(*clips([tmp_path / "walk.mp4"]))


def test_without_pyav_folders_work_and_videos_name_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "film.mp4", pan(7))
    monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    film, walk = clips([tmp_path / "film.mp4", write_frames(tmp_path / "walk", pan(7))])
    with pytest.raises(MissingLibraryError, match=r"film.mp4 needs av, .*'diffir\[video\]'"):
        PairWriter(folder=tmp_path / "set").write(film)
    assert PairWriter(folder=tmp_path / "set").write(walk).made == 1
