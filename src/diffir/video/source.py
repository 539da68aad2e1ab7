"""Reading: the properties of a video, its frame times, and its frames from any number on."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from diffir.errors import PictureError

from .colour import Colour, colour_of
from .hdr import hdr10_of, numbers

Progress = Callable[[float], None]
"""Called with the share done, from 0 to 1."""

TRUSTED_LENGTHS = ("matroska", "mov")  # the durations of others are estimates
SLACK = 1.0  # seconds by which a header's duration may exceed the last packet
PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """The properties of a video, from its first frame."""

    width: int
    height: int
    pixels: str
    """FFmpeg's name of the pixel format."""
    colour: Colour
    rate: Fraction
    """Average frames per second."""
    time_base: Fraction
    """The unit of times, in seconds."""
    aspect: Fraction | None
    """Width of a pixel divided by its height."""
    matrix: tuple[int, ...]
    """The display matrix, nine numbers that rotate and mirror the frames; empty if absent."""
    hdr10: str
    """See `hdr10_of`."""
    interlaced: bool
    has_alpha: bool
    """Whether it has transparency, in the frames or, with VP8 and VP9, beside them."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """When the frames of a video are shown, in units of its time base."""

    starts: list[int]
    last: int
    """How long the last frame is shown."""

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> list[int]:
        """How long each frame is shown."""
        nexts = [*self.starts[1:], self.starts[-1] + self.last]
        return [end - start for start, end in zip(self.starts, nexts, strict=True)]

    def to_json(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Times":
        """From JSON; ValueError or TypeError if it was not written by `to_json`."""
        return cls(**json.loads(text))


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a video for reading; PictureError if it is not a video."""
    with ExitStack() as until_read:
        try:
            # An open file and no protocols: a playlist disguised as a video can't open other files.
            container = av.open(
                until_read.enter_context(path.open("rb")),
                "r",
                options={"protocol_whitelist": "none"},
                metadata_errors="surrogateescape",
            )
        except (OSError, av.FFmpegError) as error:
            raise unreadable(path, error) from error
        until_read.enter_context(container)
        kind = container.format.name
        if kind == "tty":  # FFmpeg renders text files as terminal recordings
            raise PictureError(f"{path} is a text file, not a video; give a video file")
        if kind == "image2" or kind.endswith("_pipe"):
            raise PictureError(
                f"{path} is a picture, not a video; use `diffir restore` unless it is animated"
            )
        yield container


def unreadable(path: Path, error: OSError | av.FFmpegError) -> PictureError:
    """The error for a file that can't be opened or read further."""
    if path.is_dir():
        return PictureError(f"{path} is a folder; give a video file")
    if not path.exists():
        return PictureError(f"{path} does not exist; give a video file")
    return PictureError(
        f"{path} cannot be read as a video ({error.strerror}); give a whole video file"
    )


def packets_of(
    container: InputContainer, path: Path, *streams: Stream
) -> "Iterator[Packet[Stream]]":
    """The packets of some streams, or of all; PictureError if reading fails."""
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except (OSError, av.FFmpegError) as error:
            raise unreadable(path, error) from error
        if packet is None:
            return
        yield packet


def main_stream(container: InputContainer, path: Path) -> VideoStream:
    """The video stream, ignoring cover pictures; PictureError if there is none."""
    for stream in container.streams.video:
        if not stream.disposition & PICTURES and stream.codec_context is not None:
            stream.thread_type = "AUTO"
            return stream
    raise PictureError(f"{path} has no video stream; give a video file")


def probe(path: Path) -> VideoInfo:
    """The properties of a video; PictureError if it has no frame or an unsupported matrix."""
    with opened(path) as container:
        stream = main_stream(container, path)
        frame = next(decoded(container, stream, path), None)
        if frame is None:
            raise PictureError(f"{path} has no frame that can be read; give a whole video file")
        return VideoInfo(
            width=frame.width,
            height=frame.height,
            pixels=frame.format.name,
            colour=colour_of(frame, path),
            rate=stream.average_rate or stream.guessed_rate or Fraction(25),
            time_base=stream.time_base or Fraction(1, 1000),
            aspect=stream.sample_aspect_ratio,
            matrix=tuple(numbers(frame, "DISPLAYMATRIX")),
            hdr10=hdr10_of(frame),
            interlaced=frame.interlaced_frame,
            has_alpha=any(part.is_alpha for part in frame.format.components)
            or any(stream.metadata[key] == "1" for key in alpha_tags(stream)),
        )


def alpha_tags(stream: VideoStream) -> list[str]:
    """The keys of the WebM tags that declare transparency beside the frames."""
    return [key for key in stream.metadata if key.lower() == "alpha_mode"]


def decoded(container: InputContainer, stream: VideoStream, path: Path) -> Iterator[av.VideoFrame]:
    """The frames of a stream; PictureError if one is damaged."""
    seen = 0
    for packet in packets_of(container, path, stream):
        frames = unpacked(packet, path, seen)
        seen += len(frames)
        yield from frames


def unpacked(packet: "Packet[Any]", path: Path, seen: int) -> list[av.VideoFrame]:
    """The frames that a packet completes; PictureError if one is damaged.

    Everything before the first readable frame is skipped, as players do: a recording may begin in
    the middle of frames that depend on earlier ones.
    """
    try:
        frames = packet.decode()
    except av.FFmpegError as error:
        if seen:
            raise damaged(path, seen, error.strerror) from error
        return []
    if not seen:
        return list(itertools.dropwhile(lambda frame: frame.is_corrupt, frames))
    for index, frame in enumerate(frames):
        if frame.is_corrupt:
            raise damaged(path, seen + index, "part of the picture is missing")
    return frames


def damaged(path: Path, index: int, why: str | None) -> PictureError:
    """The error for a frame that can't be read."""
    return PictureError(f"{path} is damaged at frame {index + 1} ({why}); give a whole video file")


def frames_from(path: Path, first: int) -> Iterator[av.VideoFrame]:
    """The frames of a video from a number on.

    Those before it are decoded too: in some formats, seeking gives other frames than sequential
    decoding, and decoding costs little compared with restoring.
    """
    with opened(path) as container:
        yield from itertools.islice(
            decoded(container, main_stream(container, path), path), first, None
        )


def scan(path: Path, info: VideoInfo, progress: Progress = lambda share: None) -> Times:
    """Decode a video once, to check that it is complete and to get the time of each frame.

    Raises:
        PictureError: when a frame is damaged or differs from the first in size or format, the end
            is missing, or times do not increase.
    """
    starts: list[int] = []
    usual = length = max(1, round(1 / (info.rate * info.time_base)))
    reached = 0.0
    with opened(path) as container:
        stream = main_stream(container, path)
        for packet in packets_of(container, path):
            reached = max(reached, end_of(packet))
            if (
                packet.stream.index != stream.index
            ):  # the packet that ends a stream has no index of its own
                continue
            for frame in unpacked(packet, path, len(starts)):
                require_alike(frame, info, len(starts), path)
                # Without timestamps (AVI), the last frame repeats the time of the one before.
                is_timed = frame.dts is not None or frame.pts not in starts[-1:]
                pts = frame.pts if is_timed else None
                starts.append(next_start(pts, starts, length, path))
                length = frame.duration or usual
            if packet.pos:
                progress(min(1.0, packet.pos / max(1, container.size)))
        require_end(container, reached, path)
    progress(1.0)
    if not starts:
        raise PictureError(f"{path} has no frame that can be read; give a whole video file")
    return Times(starts=starts, last=length)


def end_of(packet: "Packet[Stream]") -> float:
    """When the content of a packet ends, in seconds; 0 if unknown."""
    if packet.pts is None or not packet.time_base:
        return 0.0
    return float((packet.pts + (packet.duration or 0)) * packet.time_base)


def next_start(pts: int | None, starts: list[int], length: int, path: Path) -> int:
    """The time of a frame: one duration after the last if the file has none."""
    if pts is None:
        return starts[-1] + length if starts else 0
    if starts and pts <= starts[-1]:
        raise PictureError(
            f"{path} shows frame {len(starts) + 1} at {pts}, not later than the one before it; "
            "give a file with increasing times, such as a copy exported by a video editor"
        )
    return pts


def require_alike(frame: av.VideoFrame, info: VideoInfo, index: int, path: Path) -> None:
    """Raise PictureError for a frame whose size or pixel format differs from the first."""
    found = (frame.width, frame.height, frame.format.name)
    wanted = (info.width, info.height, info.pixels)
    if found != wanted:
        raise PictureError(
            f"{path} changes at frame {index + 1} from {shape(*wanted)} to {shape(*found)}; "
            "cut it there and give the parts"
        )


def shape(width: int, height: int, pixels: str) -> str:
    """`1920×1080 yuv420p`."""
    return f"{width}×{height} {pixels}"


def require_end(container: InputContainer, reached: float, path: Path) -> None:
    """Raise PictureError if the file is much shorter than its header says."""
    if container.duration is None or not container.format.name.startswith(TRUSTED_LENGTHS):
        return
    # Matroska's duration counts from 0, however late its content begins.
    begin = 0 if container.format.name.startswith("matroska") else container.start_time or 0
    promised = (begin + container.duration) / av.time_base
    if promised - reached > SLACK:
        raise PictureError(
            f"{path} ends at {reached:.1f} s of {promised:.1f} s, so part of it is missing; "
            "give the whole file, or a copy with a corrected header if that is all there is"
        )
