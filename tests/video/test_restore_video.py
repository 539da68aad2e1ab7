"""Videos restored: what is kept, what flickers not, and what a kill costs."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video.clips import Made, depth, make, packets, pictures, shown, video_of

from diffir.inference import Restorer
from diffir.video import restore_video
from diffir.video.source import probe, scan
from diffir.video.work import SEGMENT, folder_for

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


LATE = 36_000
"""Ten hours, in seconds."""


def late(source: Path, target: Path) -> Path:
    """A copy, with a chapter, whose clock shows ten hours when it begins."""
    chapter = {"id": 1, "start": 1000 * LATE, "end": 1000 * LATE + 200, "metadata": {}}
    with av.open(str(source)) as before, av.open(str(target), "w") as out:
        copies = [out.add_stream_from_template(stream, opaque=True) for stream in before.streams]
        out.set_chapters([{**chapter, "time_base": Fraction(1, 1000)}])
        for packet in before.demux():
            if packet.size:
                shift = round(LATE / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    return target


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("recording", ["in.ts", "in.mkv"])
def test_a_recording_whose_clock_began_before_it_begins_at_0_with_its_sound_in_step(
    deblur: Restorer, tmp_path: Path, recording: str, suffix: str
) -> None:
    plain = make(tmp_path / "plain.mkv", replace(SHORT, sound="aac", options={"bf": "0"}))
    source = late(plain, tmp_path / recording)
    target = restored(deblur, source, f"out{suffix}")
    with av.open(str(source)) as before, av.open(str(target)) as after:
        begin = Fraction(before.start_time, av.time_base)
        assert round(begin) == LATE
        assert after.start_time == 0
        is_counted_from_0 = recording == "in.mkv"
        length = before.duration - (before.start_time if is_counted_from_0 else 0)
        assert after.duration == pytest.approx(length, abs=25_000)  # µs: a packet of sound
        chapters = [(one["start"] * one["time_base"]) for one in after.chapters()]
        assert chapters == [0] * len(before.chapters())
    exact = 0.0006  # half of a millisecond, and what floats lose of ten hours
    starts = [start for start, _ in shown(target)]
    assert starts == pytest.approx([start - begin for start, _ in shown(source)], abs=exact)
    sound = [start for start, *_ in packets(target, "audio")]
    assert sound == pytest.approx(
        [start - float(begin) for start, *_ in packets(source, "audio")], abs=exact
    )


def test_sound_subtitles_chapters_and_words_are_copied(deblur: Restorer, tmp_path: Path) -> None:
    plain = make(tmp_path / "plain.mkv", replace(SHORT, sound="aac", subtitles="srt"))
    source = with_extras(plain, tmp_path / "in.mkv")
    target = restored(deblur, source, "out.mkv")
    for kind in ("audio", "subtitle"):
        assert packets(target, kind) == packets(source, kind) != []
    with av.open(str(source)) as before, av.open(str(target)) as after:
        assert [s.type for s in after.streams] == [s.type for s in before.streams]
        assert after.chapters() == before.chapters() != []
        assert after.metadata["title"] == "Wandering"
        assert after.streams[0].language == "epo"
        assert after.streams[-1].data == b"a font"


def with_extras(source: Path, target: Path) -> Path:
    """A copy with a chapter and an attached file."""
    chapter = {"id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000)}
    with av.open(str(source)) as before, av.open(str(target), "w") as out:
        copies = [out.add_stream_from_template(stream, opaque=True) for stream in before.streams]
        copies[0].metadata["language"] = "epo"
        out.add_attachment("letters.ttf", "application/x-truetype-font", b"a font")
        out.metadata.update(before.metadata)
        out.set_chapters([{**chapter, "metadata": {"title": "One"}}])
        for packet in before.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    return target


def test_an_mp4_keeps_its_sound_and_subtitles(deblur: Restorer, tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4", replace(SHORT, sound="aac", subtitles="mov_text"))
    target = restored(deblur, source, "out.mp4")
    with av.open(str(target)) as container:
        assert container.streams.audio[0].language == "deu"
    for kind in ("audio", "subtitle"):
        assert packets(target, kind) == packets(source, kind) != []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_rotation_and_the_shape_of_pixels_stay_tags(
    deblur: Restorer, tmp_path: Path, suffix: str
) -> None:
    source = make(tmp_path / f"in{suffix}", replace(SHORT, rotation=90, aspect=Fraction(4, 3)))
    target = restored(deblur, source, f"out{suffix}")
    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
        assert (frame.rotation, frame.width, frame.height) == (90, 48, 32)
        assert video_of(container).sample_aspect_ratio == Fraction(4, 3)


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "hevc"), (".mkv", "hevc"), (".webm", "libdav1d")]
)
def test_ten_bits_and_the_tags_of_colour_are_kept(
    deblur: Restorer, tmp_path: Path, suffix: str, codec: str
) -> None:
    made = replace(SHORT, frames=3, size=(64, 64), pixels="yuv420p10le", tags=HDR)
    source = make(tmp_path / "in.mkv", made)
    target = restored(deblur, source, f"out{suffix}")
    assert depth(target) == 10
    with av.open(str(target)) as container:
        context = video_of(container).codec_context
        assert {name: getattr(context, name) for name in HDR} == HDR
        assert context.name == codec


def test_what_hdr10_says_is_kept(deblur: Restorer, tmp_path: Path) -> None:
    said = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    # Without B-frames, for of so few frames x265 makes their times out of memory it never wrote.
    own = f"log-level=none:bframes=0:hdr10=1:{said}:max-cll=1000,400"
    options = {"x265-params": own}
    made = replace(SHORT, frames=2, codec="libx265", size=(64, 64), pixels="yuv420p10le")
    source = make(tmp_path / "in.mp4", replace(made, tags=HDR, options=options))
    info = probe(source)
    assert info.hdr10 == f"hdr10=1:{said}:max-cll=1000,400"
    assert probe(restored(deblur, source, "out.mp4")).hdr10 == info.hdr10


def test_full_range_stays_full(deblur: Restorer, tmp_path: Path) -> None:
    tags = {"colorspace": 6, "color_range": 2, "color_primaries": 6, "color_trc": 6}
    source = make(tmp_path / "in.mp4", replace(SHORT, frames=3, tags=tags))
    with av.open(str(restored(deblur, source, "out.mp4"))) as container:
        context = video_of(container).codec_context
        assert {name: getattr(context, name) for name in tags} == tags


def test_a_matrix_that_players_would_guess_otherwise_is_tagged(
    weights: dict[str, str], tmp_path: Path
) -> None:
    small = make(tmp_path / "small.mkv", Made(frames=2, size=(16, 400)))
    restorer = Restorer.from_pretrained(weights["sr-x2"], device="cpu")
    with av.open(str(restored(restorer, small, "out.mkv"))) as container:
        assert video_of(container).codec_context.colorspace == 6  # 800 rows pass for BT.709


@pytest.mark.parametrize("pixels", ["gray", "bgr0", "yuv444p"])
def test_gray_rgb_and_odd_sizes_become_what_players_show(
    deblur: Restorer, tmp_path: Path, pixels: str
) -> None:
    size = (47, 31) if pixels == "yuv444p" else (48, 32)
    made = replace(SHORT, codec="ffv1", pixels=pixels, size=size, frames=2)
    target = restored(deblur, make(tmp_path / "in.mkv", made), "out.mp4")
    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == size
        wanted = "444" if pixels == "yuv444p" else "420"
        assert wanted in frame.format.name
        if pixels == "gray":
            assert set(bytes(frame.planes[1])) <= {0, 128}  # 0: beyond the end of a row


def test_frames_that_are_equal_stay_equal(deblur: Restorer, tmp_path: Path) -> None:
    made = replace(SHORT, frames=SEGMENT + 2, codec="ffv1", still=True, options={})
    source = make(tmp_path / "in.mkv", made)
    for smooth in (None, 0.5):
        target = restored(deblur, source, f"out{smooth}.mkv", quality=0, smooth=smooth)
        first, *others = pictures(target)
        assert all(np.array_equal(first, other) for other in others)


def test_the_seed_is_the_noise_of_every_frame(deblur: Restorer, tmp_path: Path) -> None:
    source = make(tmp_path / "in.mkv", replace(SHORT, frames=3))
    files = [
        restored(deblur, source, f"{name}.mkv", seed=seed)
        for name, seed in {"one": 1, "again": 1, "two": 2}.items()
    ]
    one, again, two = (path.read_bytes() for path in files)
    assert one == again != two


def test_smoothing_changes_the_frames_after_the_first(deblur: Restorer, tmp_path: Path) -> None:
    source = make(tmp_path / "in.mkv", SHORT)
    plain = pictures(restored(deblur, source, "plain.mkv", quality=0))
    smooth = pictures(restored(deblur, source, "smooth.mkv", quality=0, smooth=5.0))
    assert np.array_equal(plain[0], smooth[0])
    assert not np.array_equal(plain[-1], smooth[-1])


def test_smoothing_is_over_seconds_not_over_frames(deblur: Restorer, tmp_path: Path) -> None:
    slow = make(tmp_path / "slow.mkv", replace(SHORT, starts=[0, 20_000]))
    plain = pictures(restored(deblur, slow, "plain.mkv", quality=0))
    smooth = pictures(restored(deblur, slow, "smooth.mkv", quality=0, smooth=1.0))
    assert np.array_equal(plain[1], smooth[1])  # of 20 seconds ago, e⁻²⁰ is left
    quick = make(tmp_path / "quick.mkv", replace(SHORT, starts=[0, 40]))
    plain = pictures(restored(deblur, quick, "plain2.mkv", quality=0))
    smooth = pictures(restored(deblur, quick, "smooth2.mkv", quality=0, smooth=1.0))
    assert not np.array_equal(plain[1], smooth[1])


def test_quality_0_gives_the_same_frames_in_any_codec(deblur: Restorer, tmp_path: Path) -> None:
    source = make(tmp_path / "in.mkv", replace(SHORT, frames=2, size=(64, 64)))
    h264 = pictures(restored(deblur, source, "out.mkv", quality=0))
    vp9 = pictures(restored(deblur, source, "out.webm", quality=0))
    with av.open(str(tmp_path / "out.webm")) as container:
        assert "vp9" in video_of(container).codec_context.codec.name
    assert all(np.array_equal(*pair) for pair in zip(h264, vp9, strict=True))


def test_a_killed_run_goes_on_and_equals_an_unbroken_one(
    weights: dict[str, str], tmp_path: Path
) -> None:
    frames = 3 * SEGMENT + 5
    made = Made(frames=frames, size=(48, 32), sound="aac")
    source, killed = make(tmp_path / "in.mkv", made), tmp_path / "killed.mkv"
    unbroken, work = tmp_path / "unbroken.mkv", folder_for(killed)
    options = ["--model", weights["deblur"], "--device", "cpu", "--smooth", "0.5"]
    command = [*DIFFIR, "video", str(source), *options, "-o", str(killed)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while not (work / "000000.segment").exists() and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not killed.exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "of them by an earlier run" in done.stdout
    assert not work.exists()
    subprocess.run([*command[:-1], str(unbroken)], check=True, capture_output=True)
    assert killed.read_bytes() == unbroken.read_bytes()
    assert len(shown(killed)) == frames


def test_no_more_than_a_few_frames_are_decoded_ahead(
    deblur: Restorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffir.video.restore as module

    held, most = 0, 0
    to_rgb, from_rgb = module.to_rgb, module.from_rgb

    def taken(*args: object) -> object:
        nonlocal held, most
        held += 1
        most = max(most, held)
        return to_rgb(*args)  # type: ignore[arg-type]

    def given(*args: object) -> object:
        nonlocal held
        held -= 1
        return from_rgb(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "to_rgb", taken)
    monkeypatch.setattr(module, "from_rgb", given)
    restored(deblur, make(tmp_path / "in.mkv", Made(frames=40, size=(16, 16))), "out.mkv")
    assert most <= 4  # read, restored, encoded, and one on its way between two of them


def test_the_parts_are_told_from_0_to_all(deblur: Restorer, tmp_path: Path) -> None:
    told: list[tuple[str, float, float]] = []
    source = make(tmp_path / "in.mkv", SHORT)
    restored(deblur, source, "out.mkv", report=lambda *what: told.append(what))
    parts = list(dict.fromkeys(part for part, *_ in told))
    assert parts == ["looking", "restoring", "joining"]
    frames = [done for part, done, _ in told if part == "restoring"]
    assert frames[0] == 0
    assert frames[-1] == 10
    assert frames == sorted(frames)


def test_every_frame_is_looked_at_before_the_night(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mkv", replace(SHORT, starts=UNEVEN, last=70))
    times = scan(source, probe(source))
    assert times.starts == UNEVEN
    assert sum(times.lengths) == 900 + times.last


def test_sound_whose_times_repeat_is_copied_all_the_same(deblur: Restorer, tmp_path: Path) -> None:
    plain = make(tmp_path / "plain.mkv", replace(SHORT, sound="aac"))
    source = tmp_path / "in.mkv"
    with av.open(str(plain)) as before, av.open(str(source), "w") as out:
        copies = [out.add_stream_from_template(stream, opaque=True) for stream in before.streams]
        for packet in before.demux():
            if packet.size:
                if packet.stream.type == "audio":
                    packet.pts = packet.dts = packet.pts // 100 * 100
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    times = [start for start, *_ in packets(source, "audio")]
    assert len(set(times)) < len(times)
    target = restored(deblur, source, "out.mp4")
    contents = [[content for *_, content in packets(path, "audio")] for path in (source, target)]
    assert contents[0] == contents[1]


def test_a_last_frame_whose_time_an_avi_repeats_is_shown_one_frame_later(
    deblur: Restorer, tmp_path: Path
) -> None:
    made = Made(frames=12, codec="mpeg4", options={"bf": "2", "qscale": "3"})
    source = make(tmp_path / "in.avi", made)
    assert len(pictures(restored(deblur, source, "out.mkv"))) == 12


def test_what_was_counted_of_the_input_is_not_said_of_the_output(
    deblur: Restorer, tmp_path: Path
) -> None:
    notes = {"BPS": "123456", "NUMBER_OF_BYTES": "9", "title": "a cat"}
    source = make(tmp_path / "in.mkv", replace(SHORT, frames=2, notes=notes))
    with av.open(str(source)) as container:
        assert video_of(container).metadata["BPS"] == "123456"
    with av.open(str(restored(deblur, source, "out.mkv"))) as container:
        said = video_of(container).metadata
    assert said["title"] == "a cat"
    assert not {"BPS", "NUMBER_OF_BYTES"} & said.keys()


def test_transparency_beside_the_frames_is_not_said_of_an_output_that_has_none(
    deblur: Restorer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = replace(SHORT, frames=2, codec="libvpx-vp9", pixels="yuva420p")
    source = make(tmp_path / "in.webm", made)
    target = restored(deblur, source, "out.webm")
    assert f"{source} has transparency, which the output drops" in caplog.text
    with av.open(str(source)) as before, av.open(str(target)) as after:
        assert "alpha_mode" in {key.lower() for key in video_of(before).metadata}
        assert "alpha_mode" not in {key.lower() for key in video_of(after).metadata}


def test_what_interlaced_and_hdr10_videos_lose_is_noted(
    deblur: Restorer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = replace(SHORT, frames=2, options={"x264-params": "tff=1"})
    restored(deblur, make(tmp_path / "fields.mkv", made), "out.mp4")
    assert "fields.mkv is restored interlaced; deinterlace it first" in caplog.text
    own = "log-level=none:bframes=0:hdr10=1:max-cll=1000,400"
    made = replace(SHORT, frames=2, codec="libx265", size=(64, 64), pixels="yuv420p10le")
    made = replace(made, tags=HDR, options={"x265-params": own})
    source = make(tmp_path / "bright.mp4", made)
    restored(deblur, source, "kept.mp4")
    assert "HDR10" not in caplog.text
    restored(deblur, source, "lost.webm")
    assert "bright.mp4 has HDR10 metadata, which the output drops" in caplog.text
