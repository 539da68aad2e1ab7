"""The last step: restored frames and everything else of the input in one file."""

import heapq
import io
import logging
from collections.abc import Iterator
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
from .source import Progress, Times, VideoInfo, alpha_tags, main_stream, opened, packets_of
from .work import Work

if TYPE_CHECKING:
    from av.container.core import Chapter
    from typing_extensions import Buffer

logger = logging.getLogger(__name__)

ABOUT_THE_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder"}
"""Metadata that describe the input's container and do not apply to the output."""
ABOUT_THE_CODE = ("BPS", "NUMBER_OF_", "DURATION", "_STATISTICS_")
"""Prefixes of the keys under which Matroska programs store statistics of a stream."""
WORTHWHILE = {"video", "audio", "subtitle", "attachment"}
"""Streams that must be kept; others (time codes, telemetry) are kept if possible."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """An output file, its restored stream, and the copies of the input's other streams by index."""

    container: OutputContainer
    video: VideoStream
    others: dict[int, Stream]
    begin: Fraction
    """See `begin_of`."""


class NullFile(io.RawIOBase):
    """A seekable file that discards what is written."""

    def __init__(self) -> None:
        self.place = self.end = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: "Buffer") -> int:
        """Discard bytes, and move on by their number."""
        size = memoryview(data).nbytes
        self.place += size
        self.end = max(self.end, self.place)
        return size

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position."""
        self.place = (0, self.place, self.end)[whence] + offset
        return self.place


def require_joinable(source: Path, info: VideoInfo, target: Path, encoding: Encoding) -> None:
    """Raise PictureError if the output can't hold all streams, by a dry run of writing them."""
    with opened(source) as container, NullFile() as file:
        output = open_output(container, source, info, file, target, encoding)
        try:
            output.container.start_encoding()
            for packet in other_packets(container, source, output):
                output.container.mux_one(packet)
        except (av.FFmpegError, ValueError) as error:
            why = error.strerror if isinstance(error, av.FFmpegError) else error
            raise PictureError(
                f"{target.suffix} cannot hold all streams of {source} ({why}); choose .mkv or the "
                "input's own suffix, or repair the sound or subtitles"
            ) from error


def join(
    source: Path,
    info: VideoInfo,
    times: Times,
    work: Work,
    target: Path,
    encoding: Encoding,
    progress: Progress = lambda share: None,
) -> None:
    """Write the video atomically; OSError if the disk is full."""
    with opened(source) as container, whole_file(target) as file:
        # By name, because FFmpeg reads an MP4 again to put its index first; absolute, because a
        # colon in a relative path could be taken for a protocol.
        name = str(Path(file.name).absolute())
        output = open_output(container, source, info, name, target, encoding)
        restored = video_packets(output, info, times, work, progress)
        others = other_packets(container, source, output)
        try:
            for packet in heapq.merge(restored, others, key=moment):
                output.container.mux_one(packet)
            output.container.close()
        except av.FFmpegError as error:
            raise OSError(error.errno, error.strerror, str(target)) from error
        finally:
            with suppress(av.FFmpegError):
                output.container.close()


def open_output(
    container: InputContainer,
    source: Path,
    info: VideoInfo,
    file: NullFile | str,
    target: Path,
    encoding: Encoding,
) -> Output:
    """Open an output with all streams and their metadata."""
    kind = kind_of(target).format
    out = av.open(
        file,
        "w",
        format=kind,
        container_options={"movflags": "+faststart"} if kind in ("mp4", "mov") else {},
        metadata_errors="surrogateescape",
    )
    out.flags |= cast(int, Flags.bitexact.value)  # no random ids: equal runs give equal files
    main = main_stream(container, source)
    others: dict[int, Stream] = {}
    for stream in container.streams:
        if stream.index == main.index:
            video = add_video(out, main, info, encoding)
        elif (copy := copied(out, stream, target)) is not None:
            others[stream.index] = copy
    out.metadata.update(
        {key: value for key, value in container.metadata.items() if key not in ABOUT_THE_FILE}
    )
    begin = begin_of(container)
    out.set_chapters([earlier_chapter(chapter, begin) for chapter in container.chapters()])
    return Output(container=out, video=video, others=others, begin=begin)


def begin_of(container: InputContainer) -> Fraction:
    """The time, in seconds, of the input that becomes 0 in the output.

    Timestamps of recordings start anywhere. An MP4 that starts late does so on purpose, and players
    wait until then.
    """
    if container.format.name.startswith("mov"):
        return Fraction(0)
    return max(Fraction(0), Fraction(container.start_time or 0, av.time_base))


def units(time: Fraction, time_base: Fraction | None) -> int:
    """A time in seconds, in units of a time base."""
    return round(time / (time_base or 1))


def earlier_chapter(chapter: "Chapter", begin: Fraction) -> "Chapter":
    """A chapter with its times shifted so that the input begins at 0."""
    shift = units(begin, chapter["time_base"])
    start, end = (max(0, chapter[side] - shift) for side in ("start", "end"))
    return {**chapter, "start": start, "end": end}


def add_video(
    out: OutputContainer, main: VideoStream, info: VideoInfo, encoding: Encoding
) -> VideoStream:
    """The stream of the restored frames."""
    video = out.add_stream(encoding.codec, rate=encoding.rate)
    assert isinstance(video, VideoStream)
    prepare(video.codec_context, encoding)
    if encoding.codec == "libx265" and out.format.name in ("mp4", "mov"):
        video.codec_context.codec_tag = "hvc1"  # the tag that Apple's players require
    video.time_base = info.time_base
    if info.matrix:
        video.set_display_matrix(info.matrix)
    describe(video, main)
    for key in alpha_tags(main):
        video.metadata.pop(key, None)
    return video


def describe(copy: Stream, stream: Stream) -> None:
    """Copy the metadata of a stream: language, title, disposition."""
    kept = {k: v for k, v in stream.metadata.items() if k not in ABOUT_THE_FILE}
    if isinstance(copy, VideoStream):
        kept = {k: v for k, v in kept.items() if not k.startswith(ABOUT_THE_CODE)}
    copy.metadata.update(kept)
    copy.disposition = stream.disposition


def copied(out: OutputContainer, stream: Stream, target: Path) -> Stream | None:
    """A copy of a stream, without packets; None if it can't be copied and need not be."""
    try:
        copy = out.add_stream_from_template(stream, opaque=True)
    except (ValueError, av.FFmpegError) as error:
        if stream.type in WORTHWHILE:
            raise unfit(stream, target) from error
        logger.warning(
            "%s can't hold the data stream %s, which is dropped",
            target,
            stream.name or stream.index,
        )
        return None
    describe(copy, stream)
    return copy


def unfit(stream: Stream, target: Path) -> PictureError:
    """The error for a stream that the output's container can't hold."""
    kind = {"audio": "the sound", "subtitle": "the subtitles", "video": "the second video"}
    what = f"{kind.get(stream.type, 'the attachment')} ({stream.name or 'unknown'})"
    other = "the input's own suffix" if target.suffix.lower() == ".mkv" else ".mkv, or the input's"
    return PictureError(f"{target.suffix} cannot hold {what} of the input; choose {other}")


def video_packets(
    output: Output, info: VideoInfo, times: Times, work: Work, progress: Progress
) -> "Iterator[Packet[Stream]]":
    """The packets of the restored frames, with their times."""
    begin = units(output.begin, info.time_base)
    shown = zip(times.starts, times.lengths, strict=True)
    count = work.segments(len(times))
    for index in range(count):
        for coded in work.packets(index):
            packet: Packet[Stream] = Packet(coded.data)
            start, length = next(shown)
            packet.stream = output.video
            packet.time_base = info.time_base
            packet.pts = packet.dts = start - begin
            packet.duration = length
            packet.is_keyframe = coded.key
            yield packet
        progress((index + 1) / count)


def other_packets(
    container: InputContainer, source: Path, output: Output
) -> "Iterator[Packet[Stream]]":
    """The packets of the input's other streams, for the output."""
    last: dict[int, int] = {}
    for packet in packets_of(container, source):
        copy = output.others.get(packet.stream_index)
        if copy is None or not packet.size or is_gap(packet):
            continue
        begin = units(output.begin, packet.time_base)
        packet.dts = None if packet.dts is None else packet.dts - begin
        packet.pts = None if packet.pts is None else packet.pts - begin
        if packet.dts is not None:  # recordings may repeat times, which containers reject
            packet.dts = max(packet.dts, last.get(copy.index, packet.dts - 1) + 1)
            packet.pts = max(packet.dts, packet.pts if packet.pts is not None else packet.dts)
            last[copy.index] = packet.dts
        packet.stream = copy
        yield packet


def is_gap(packet: "Packet[Stream]") -> bool:
    """Whether a packet marks a gap between subtitles, which the container writes by itself."""
    return packet.size == 2 and packet.stream.name == "mov_text" and bytes(packet) == b"\0\0"


def moment(packet: "Packet[Stream]") -> Fraction:
    """The decoding time of a packet, in seconds."""
    when = packet.dts if packet.dts is not None else packet.pts
    return (when or 0) * (packet.time_base or Fraction(1))
