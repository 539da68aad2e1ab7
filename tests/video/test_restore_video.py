"""Videos restored: what is kept, what flickers not, and what a kill costs."""

import sys
from dataclasses import replace
from pathlib import Path

import av
import pytest
from video.clips import Made, make, shown, video_of

from diffir.inference import Restorer
from diffir.video import restore_video
from diffir.video.work import SEGMENT

SHORT = Made(frames=10, size=(48, 32))
UNEVEN = [0, 33, 50, 140, 141, 300, 340, 341, 500, 900]
HDR = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": 16}
DIFFIR = (sys.executable, "-c", "import diffir.cli.video as v; v.app()")


@pytest.fixture(scope="module")
def deblur(weights: dict[str, str]) -> Restorer:
    return Restorer.from_pretrained(weights["deblur"], device="cpu")


def restored(restorer: Restorer, source: Path, name: str, **options: object) -> Path:
    target = source.with_name(name)
    restore_video(restorer, source, target, weights="toy", **options)  # type: ignore[arg-type]
    return target


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_every_frame_keeps_its_time_and_its_length(
    deblur: Restorer, tmp_path: Path, suffix: str
) -> None:
    made = replace(SHORT, starts=UNEVEN, last=170, options={"bf": "0"})
    source = make(tmp_path / f"in{suffix}", made)
    target = restored(deblur, source, f"out{suffix}")
    assert shown(target) == shown(source)
    assert [float(start) * 1000 for start, _ in shown(target)] == UNEVEN
    with av.open(str(source)) as before, av.open(str(target)) as after:
        assert before.duration == after.duration


def test_b_frames_and_a_late_start_change_no_time(deblur: Restorer, tmp_path: Path) -> None:
    starts = [500 + 40 * index for index in range(SEGMENT + 5)]
    source = make(tmp_path / "in.mp4", replace(SHORT, starts=starts))
    target = restored(deblur, source, "out.mp4")
    assert shown(target) == shown(source)
    assert len(shown(target)) == SEGMENT + 5


def test_sound_subtitles_chapters_and_words_are_copied(deblur: Restorer, tmp_path: Path) -> None:
    notes = {"BPS": "123456", "NUMBER_OF_BYTES": "9", "title": "a cat"}
    source = make(tmp_path / "in.mkv", replace(SHORT, frames=2, notes=notes))
    with av.open(str(source)) as container:
        assert video_of(container).metadata["BPS"] == "123456"
    with av.open(str(restored(deblur, source, "out.mkv"))) as container:
        said = video_of(container).metadata
    assert said["title"] == "a cat"
    assert not {"BPS", "NUMBER_OF_BYTES"} & said.keys()
