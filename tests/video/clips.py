"""Clips made for the tests, and what a clip holds."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.format import VideoFormat
from skimage import data

ASTRONAUT = data.astronaut()


@dataclass(frozen=True, kw_only=True)
class Made:
    """How a clip is made."""

    frames: int = 40
    size: tuple[int, int] = (64, 48)
    codec: str = "libx264"
    pixels: str = "yuv420p"
    starts: list[int] | None = None
    """Times of the frames in ms; None: 25 a second."""
    last: int = 40
    still: bool = False
    sound: str | None = None
    subtitles: str | None = None
    tags: dict[str, int] = field(default_factory=dict)
    rotation: int | None = None
    aspect: Fraction | None = None
    notes: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)


def pixels_at(index: int, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """A part of a photo, wandering."""
    width, height = size
    return np.ascontiguousarray(ASTRONAUT[80 : 80 + height, 3 * index : 3 * index + width])


def make(path: Path, made: Made = Made()) -> Path:
    """Write a clip."""
    with av.open(str(path), "w") as out:
        video = out.add_stream(made.codec, rate=25, options={"crf": "10", **made.options})
        video.width, video.height = made.size
        video.pix_fmt = made.pixels
        context = video.codec_context
        context.time_base = Fraction(1, 1000)
        for name, value in made.tags.items():
            setattr(context, name, value)
        if made.aspect:
            context.sample_aspect_ratio = made.aspect
        if made.rotation is not None:
            video.set_display_rotation(made.rotation)
        video.metadata.update({"language": "epo", **made.notes})
        sound = out.add_stream(made.sound, rate=48000) if made.sound else None
        if sound is not None:
            sound.metadata["language"] = "deu"
        text = out.add_stream(made.subtitles) if made.subtitles else None
        if text is not None:
            header = b"[Script Info]\nScriptType: v4.00+\n[Events]\n"
            text.codec_context.subtitle_header = header
            text.time_base = text.codec_context.time_base = Fraction(1, 1000)
        out.metadata["title"] = "Wandering"
        starts = made.starts or [40 * index for index in range(made.frames)]
        ends = [*starts[1:], starts[-1] + made.last]
        if text is not None:
            packet = av.Packet(b"Saluton")
            if made.subtitles == "mov_text":
                packet = av.Packet(b"\x00\x07Saluton")
            packet.stream, packet.pts, packet.dts, packet.duration = text, 200, 200, 500
            packet.time_base = Fraction(1, 1000)
            out.mux(packet)
        for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
            array = pixels_at(0 if made.still else index, made.size)
            frame = av.VideoFrame.from_ndarray(array, "rgb24").reformat(
                format=made.pixels, dst_color_range=made.tags.get("color_range")
            )
            frame.pts, frame.time_base, frame.duration = start, Fraction(1, 1000), end - start
            for name, value in made.tags.items():
                setattr(frame, name, value)
            mux(out, video.encode(frame), dict(zip(starts, ends, strict=True)))
        mux(out, video.encode(), dict(zip(starts, ends, strict=True)))
        if sound is not None:
            seconds = ends[-1] / 1000
            wave = np.sin(np.arange(int(48000 * seconds)) / 20).astype(np.float32) / 4
            for at in range(0, len(wave) - 1023, 1024):
                chunk = np.stack([wave[at : at + 1024]] * 2)
                frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = 48000, at
                frame.time_base = Fraction(1, 48000)
                out.mux(sound.encode(frame))
            out.mux(sound.encode())
    return path


def mux(
    out: av.container.OutputContainer,
    packets: "list[av.Packet[av.VideoStream]]",
    until: dict[int, int],
) -> None:
    """Write packets that say how long their frames stay, which encoders leave out."""
    for packet in packets:
        packet.duration = until[packet.pts] - packet.pts
        out.mux(packet)


def video_of(container: av.container.InputContainer) -> av.VideoStream:
    """The first stream that moves."""
    return container.streams.video[0]


def shown(path: Path) -> list[tuple[Fraction, Fraction]]:
    """When each frame is shown, and how long the file says it stays, in seconds."""
    with av.open(str(path)) as container:
        found = []
        for frame in container.decode(video_of(container)):
            assert frame.time_base is not None
            found.append((frame.pts * frame.time_base, frame.duration * frame.time_base))
        return found


def pictures(path: Path) -> list[np.ndarray[Any, Any]]:
    """The frames in RGB."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def packets(path: Path, kind: str) -> list[tuple[float, float, bytes]]:
    """The packets of the streams of a kind: time, duration and content."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        return [
            (
                float(packet.pts * packet.time_base),
                float(packet.duration * packet.time_base),
                bytes(packet),
            )
            for packet in (container.demux(streams) if streams else ())
            if packet.size
        ]


def depth(path: Path) -> int:
    """Bits of the video's numbers."""
    with av.open(str(path)) as container:
        return VideoFormat(video_of(container).codec_context.pix_fmt).components[0].bits
