"""The last step: restored frames, and all else that the input holds, in one file."""

import heapq
import io
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
from av.container import InputContainer, OutputContainer
from av.container.core import Flags
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from diffir.errors import PictureError
from diffir.files import whole_file

from .encoding import Encoding, kind_of, prepare
from .source import Look, Times, alpha_tags, main_stream, opened, packets_of
from .work import Work

if TYPE_CHECKING:
    from av.container.core import Chapter
    from typing_extensions import Buffer

logger = logging.getLogger(__name__)

ABOUT_THE_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder"}
"""Metadata that speak of the input's container, and are not the output's."""
ABOUT_THE_CODE = ("BPS", "NUMBER_OF_", "DURATION", "_STATISTICS_")
"""What Matroska's programs count of a stream, and how the keys begin."""
WORTHWHILE = {"video", "audio", "subtitle", "attachment"}
"""Streams that must not be lost; others (time codes, telemetry) go where they can."""


@dataclass(frozen=True, kw_only=True)
class Joint:
    """An output, its restored stream, and where the input's other streams go, by their number."""

    container: OutputContainer
    video: VideoStream
    others: dict[int, Stream]
    begin: Fraction
    """See `begin_of`."""


class Nowhere(io.RawIOBase):
    """A file that is forgotten as it is written."""

    def __init__(self) -> None:
        self.place = self.end = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: "Buffer") -> int:
        """Count bytes."""
        size = memoryview(data).nbytes
        self.place += size
        self.end = max(self.end, self.place)
        return size

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        self.place = (0, self.place, self.end)[whence] + offset
        return self.place


def require_joinable(source: Path, look: Look, target: Path, encoding: Encoding) -> None:
    """Raise PictureError where the output can't hold all streams, by writing them nowhere."""
    with opened(source) as container, Nowhere() as file:
        joint = joined(container, source, look, file, target, encoding)
        try:
            joint.container.start_encoding()
            for packet in other_packets(container, source, joint):
                joint.container.mux_one(packet)
        except (av.FFmpegError, ValueError) as error:
            why = error.strerror if isinstance(error, av.FFmpegError) else error
            raise PictureError(
                f"{target.suffix} cannot take all streams of {source} ({why}); choose .mkv or the "
                "input's own suffix, or mend the sound or subtitles"
            ) from error


def join(
    source: Path,
    look: Look,
    times: Times,
    work: Work,
    target: Path,
    encoding: Encoding,
    told: Callable[[float], None] = lambda share: None,
) -> None:
    """Write the video whole or not at all; OSError where the disk is full."""
    with opened(source) as container, whole_file(target) as file:
        # By its name, for FFmpeg reads an MP4 again to put its index first; from the root, for else
        # a folder's name with a colon might pass for a protocol.
        name = str(Path(file.name).absolute())
        joint = joined(container, source, look, name, target, encoding)
        restored = video_packets(joint, look, times, work, told)
        others = other_packets(container, source, joint)
        try:
            for packet in heapq.merge(restored, others, key=moment):
                joint.container.mux_one(packet)
            joint.container.close()
        except av.FFmpegError as error:
            raise OSError(error.errno, error.strerror, str(target)) from error
        finally:
            with suppress(av.FFmpegError):
                joint.container.close()


def joined(
    container: InputContainer,
    source: Path,
    look: Look,
    file: Nowhere | str,
    target: Path,
    encoding: Encoding,
) -> Joint:
    """An output with all streams and all that is said about them."""
    kind = kind_of(target).format
    out = av.open(
        file,
        "w",
        format=kind,
        container_options={"movflags": "+faststart"} if kind in ("mp4", "mov") else {},
        metadata_errors="surrogateescape",
    )
    out.flags |= cast(int, Flags.bitexact.value)  # no random numbers: equal runs give equal files
    main = main_stream(container, source)
    others: dict[int, Stream] = {}
    for stream in container.streams:
        if stream.index == main.index:
            video = add_video(out, main, look, encoding)
        elif (copy := copied(out, stream, target)) is not None:
            others[stream.index] = copy
    out.metadata.update(
        {key: value for key, value in container.metadata.items() if key not in ABOUT_THE_FILE}
    )
    begin = begin_of(container)
    out.set_chapters([earlier_chapter(chapter, begin) for chapter in container.chapters()])
    return Joint(container=out, video=video, others=others, begin=begin)


def begin_of(container: InputContainer) -> Fraction:
    """The time, in seconds, at which an input begins and its output has 0.

    Recordings count from whenever their clock began. An MP4 that begins late does so on purpose,
    and players show nothing till then.
    """
    if container.format.name.startswith("mov"):
        return Fraction(0)
    return max(Fraction(0), Fraction(container.start_time or 0, av.time_base))


def units(time: Fraction, time_base: Fraction | None) -> int:
    """A time in seconds, in units of a time base."""
    return round(time / (time_base or 1))


def earlier_chapter(chapter: "Chapter", begin: Fraction) -> "Chapter":
    """A chapter as it is when the input's times begin at 0."""
    shift = units(begin, chapter["time_base"])
    start, end = (max(0, chapter[side] - shift) for side in ("start", "end"))
    return {**chapter, "start": start, "end": end}


def add_video(
    out: OutputContainer, main: VideoStream, look: Look, encoding: Encoding
) -> VideoStream:
    """The stream of the restored frames."""
    video = out.add_stream(encoding.codec, rate=encoding.rate)
    assert isinstance(video, VideoStream)
    prepare(video.codec_context, encoding)
    if encoding.codec == "libx265" and out.format.name in ("mp4", "mov"):
        video.codec_context.codec_tag = "hvc1"  # the name under which Apple's players take it
    video.time_base = look.time_base
    if look.matrix:
        video.set_display_matrix(look.matrix)
    describe(video, main)
    for key in alpha_tags(main):
        video.metadata.pop(key, None)
    return video


def describe(copy: Stream, stream: Stream) -> None:
    """Say of a stream what is said of another: language, title, what it is for."""
    kept = {k: v for k, v in stream.metadata.items() if k not in ABOUT_THE_FILE}
    if isinstance(copy, VideoStream):
        kept = {k: v for k, v in kept.items() if not k.startswith(ABOUT_THE_CODE)}
    copy.metadata.update(kept)
    copy.disposition = stream.disposition


def copied(out: OutputContainer, stream: Stream, target: Path) -> Stream | None:
    """A stream for another's packets; None where it can't and need not be copied."""
    try:
        copy = out.add_stream_from_template(stream, opaque=True)
    except (ValueError, av.FFmpegError) as error:
        if stream.type in WORTHWHILE:
            raise unfit(stream, target) from error
        logger.warning("%s does not take the data stream %s", target, stream.name or stream.index)
        return None
    describe(copy, stream)
    return copy


def unfit(stream: Stream, target: Path) -> PictureError:
    """The error for a stream that the output's container does not take."""
    kind = {"audio": "sound", "subtitle": "subtitles", "video": "a second video"}
    what = f"{kind.get(stream.type, 'an attachment')} ({stream.name or 'unknown'})"
    other = "the input's own suffix" if target.suffix.lower() == ".mkv" else ".mkv, or the input's"
    return PictureError(f"{target.suffix} cannot hold {what} of the input; choose {other}")


def video_packets(
    joint: Joint, look: Look, times: Times, work: Work, told: Callable[[float], None]
) -> "Iterator[Packet[Stream]]":
    """The restored frames, each at its time."""
    begin = units(joint.begin, look.time_base)
    shown = zip(times.starts, times.lengths, strict=True)
    count = work.segments(len(times))
    for index in range(count):
        for coded in work.packets(index):
            packet: Packet[Stream] = Packet(coded.data)
            start, length = next(shown)
            packet.stream = joint.video
            packet.time_base = look.time_base
            packet.pts = packet.dts = start - begin
            packet.duration = length
            packet.is_keyframe = coded.key
            yield packet
        told((index + 1) / count)


def other_packets(
    container: InputContainer, source: Path, joint: Joint
) -> "Iterator[Packet[Stream]]":
    """The packets of the input's other streams, for the output."""
    last: dict[int, int] = {}
    for packet in packets_of(container, source):
        copy = joint.others.get(packet.stream_index)
        if copy is None or not packet.size or is_gap(packet):
            continue
        begin = units(joint.begin, packet.time_base)
        packet.dts = None if packet.dts is None else packet.dts - begin
        packet.pts = None if packet.pts is None else packet.pts - begin
        if packet.dts is not None:  # recordings may repeat times, which no container takes
            packet.dts = max(packet.dts, last.get(copy.index, packet.dts - 1) + 1)
            packet.pts = max(packet.dts, packet.pts if packet.pts is not None else packet.dts)
            last[copy.index] = packet.dts
        packet.stream = copy
        yield packet


def is_gap(packet: "Packet[Stream]") -> bool:
    """Whether a packet says that no subtitle is shown, which the container writes by itself."""
    return packet.size == 2 and packet.stream.name == "mov_text" and bytes(packet) == b"\0\0"


def moment(packet: "Packet[Stream]") -> Fraction:
    """When a packet is decoded, in seconds."""
    when = packet.dts if packet.dts is not None else packet.pts
    return (when or 0) * (packet.time_base or Fraction(1))
