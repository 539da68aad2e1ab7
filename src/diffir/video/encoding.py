"""Writing frames: which encoder, with which settings, and a run of frames as packets."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.codec import UnknownCodecError, find_best_pix_fmt_of_list
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.stream import VideoStream

from diffir.errors import PictureError

from .colour import UNSPECIFIED, Colour, depth_of, is_gray, is_rgb
from .source import Look

THREADS = 1  # more change the bits of some encoders, and restoring takes the time anyway
LOSSLESS = 0


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A container to write, and the encoders of 8 bits and of more."""

    format: str
    """FFmpeg's name."""
    shallow: str
    deep: str


ISO = Kind(format="mp4", shallow="libx264", deep="libx265")
KINDS = {
    ".mp4": ISO,
    ".m4v": ISO,
    ".mov": Kind(format="mov", shallow="libx264", deep="libx265"),
    ".mkv": Kind(format="matroska", shallow="libx264", deep="libx265"),
    ".webm": Kind(format="webm", shallow="libvpx-vp9", deep="libsvtav1"),
}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """All that an encoder is told, so that equal values give equal bits."""

    codec: str
    width: int
    height: int
    pixels: str
    rate: Fraction
    aspect: Fraction | None
    colour: Colour
    matrix: int
    """That of the pixels, by the numbers of ITU-T H.273."""
    matrix_tag: int
    """That which the file says: none where players take the right one by themselves."""
    options: dict[str, str]
    header: bool
    """Whether the container wants the stream's header apart from the packets."""

    def facts(self) -> dict[str, Any]:
        """What tells one encoding from another, for JSON."""
        return {key: str(value) for key, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class Coded:
    """A frame as an encoder gives it, and whether it can be decoded by itself."""

    key: bool
    data: bytes


def kind_of(target: Path) -> Kind:
    """The container that a name stands for; PictureError where it is none of ours."""
    kind = KINDS.get(target.suffix.lower())
    if kind is None:
        raise PictureError(
            f"{target} has no suffix of a video that is written here; "
            f"choose one of {', '.join(KINDS)}"
        )
    return kind


def choose(look: Look, scale: int, target: Path, quality: int) -> Encoding:
    """How the restored video is encoded: as deep as the input, with its colours and shape.

    Args:
        look: at the input.
        scale: how much larger the frames become.
        target: its suffix says which container.
        quality: from 0, which loses nothing but roundings, to 51.

    Raises:
        PictureError: when the encoder does not take such frames, which is tried.
    """
    kind = kind_of(target)
    found = VideoFormat(look.pixels)
    codec = kind.shallow if depth_of(found) <= 8 else kind.deep
    width, height = look.width * scale, look.height * scale
    matrix = look.colour.matrix_at(look.height)
    guessed = look.colour.matrix == UNSPECIFIED and look.colour.matrix_at(height) == matrix
    encoding = Encoding(
        codec=codec,
        width=width,
        height=height,
        pixels=pixels_for(codec, found, width, height),
        rate=look.rate.limit_denominator(1_000_000),
        aspect=look.aspect,
        colour=look.colour,
        matrix=matrix,
        matrix_tag=UNSPECIFIED if guessed else matrix,
        options=options_of(codec, quality, look.hdr10),
        header=bool(av.format.ContainerFormat(kind.format, "w").flags & GLOBAL_HEADER),
    )
    require_encodable(encoding)
    return encoding


GLOBAL_HEADER = 0x40  # AVFMT_GLOBALHEADER


def pixels_for(codec: str, found: VideoFormat, width: int, height: int) -> str:
    """The encoder's pixel format nearest to that of the input.

    RGB and gray become 4:2:0, which all players show; odd sizes take colour at full resolution, for
    half a pixel of it can't be.
    """
    offered = formats_of(codec)
    if is_rgb(found) or is_gray(found):
        found = VideoFormat("yuv420p" if depth_of(found) <= 8 else "yuv420p10le")
    bits = depth_of(found)
    fitting = [pixels for pixels in offered if depth_of(pixels) >= bits] or offered
    even = [pixels for pixels in fitting if divides(pixels, width, height)]
    best, _ = find_best_pix_fmt_of_list(even or fitting, found)
    return (best or fitting[0]).name


def formats_of(codec: str) -> list[VideoFormat]:
    """What an encoder takes of what is written here: YCbCr without alpha."""
    try:
        offered = av.Codec(codec, "w").video_formats or []
    except UnknownCodecError as error:
        raise PictureError(
            f"this PyAV comes without the encoder {codec}; install PyAV's own wheel "
            "with `pip install 'diffir[video]'`, or choose another suffix"
        ) from error
    return [pixels for pixels in offered if pixels.name.startswith("yuv4")]


def divides(pixels: VideoFormat, width: int, height: int) -> bool:
    """Whether colour has a whole number of pixels."""
    across, down = pixels.chroma_width(64), pixels.chroma_height(64)
    return width * across % 64 == 0 and height * down % 64 == 0


def options_of(codec: str, quality: int, hdr10: str) -> dict[str, str]:
    """An encoder's own options for a quality from 0 to 51, and for `hdr10_of`."""
    stretched = str(round(quality * 63 / 51))
    if codec == "libx264":
        return {"preset": "medium", "qp" if quality == LOSSLESS else "crf": str(quality)}
    if codec == "libx265":
        own = ["log-level=none", "frame-threads=1", f"pools={THREADS}"]
        own += ["lossless=1"] * (quality == LOSSLESS) + [hdr10] * bool(hdr10)
        return {"preset": "medium", "crf": str(quality), "x265-params": ":".join(own)}
    if codec == "libvpx-vp9":
        exact = {"lossless": "1"} if quality == LOSSLESS else {}
        return {"crf": stretched, "b": "0", "deadline": "good", "cpu-used": "2", **exact}
    return {"preset": "6", "crf": stretched}


def require_encodable(encoding: Encoding) -> None:
    """Raise PictureError where the encoder refuses, asking it."""
    os.environ.setdefault("SVT_LOG", "1")  # errors alone; SVT-AV1 writes past all loggers
    context = encoder(encoding)
    try:
        context.open()
    except (av.FFmpegError, MemoryError) as error:
        size = f"{encoding.width}×{encoding.height}"
        raise PictureError(
            f"the encoder {encoding.codec} does not take frames of {size} in {encoding.pixels}; "
            "make the video smaller or larger, or choose another suffix"
        ) from error


def encoder(encoding: Encoding) -> VideoCodecContext:
    """An encoder that counts frames; when they are shown is the container's matter."""
    context = VideoCodecContext.create(encoding.codec, "w")
    assert isinstance(context, VideoCodecContext)
    prepare(context, encoding)
    return context


def prepare(context: VideoCodecContext, encoding: Encoding) -> None:
    """Tell an encoder all of its settings."""
    context.width, context.height = encoding.width, encoding.height
    context.pix_fmt = encoding.pixels
    context.framerate, context.time_base = encoding.rate, 1 / encoding.rate
    context.options = dict(encoding.options)
    context.thread_count = THREADS
    # Without B-frames the order of decoding is that of showing, and an MP4, which counts lengths in
    # the former, keeps the length of each frame.
    context.max_b_frames = 0
    context.colorspace = encoding.matrix_tag
    context.color_range = encoding.colour.range_tag
    context.color_primaries = encoding.colour.primaries
    context.color_trc = encoding.colour.transfer
    if encoding.aspect:
        context.sample_aspect_ratio = encoding.aspect
    if encoding.header:
        context.flags |= Flags.global_header


def encode(
    context: VideoCodecContext, index: int, frame: av.VideoFrame, encoding: Encoding
) -> list[Coded]:
    """Give an encoder the next frame of a run, and take the packets that are ready."""
    frame.pts, frame.time_base = index, 1 / encoding.rate
    frame.colorspace, frame.color_range = encoding.matrix_tag, encoding.colour.range_tag
    frame.color_primaries = encoding.colour.primaries
    frame.color_trc = encoding.colour.transfer
    return list(coded(context.encode(frame)))


def flush(context: VideoCodecContext) -> list[Coded]:
    """The last packets of a run."""
    return list(coded(context.encode(None)))


def coded(packets: "Iterable[av.Packet[VideoStream]]") -> Iterator[Coded]:
    """The packets with what is needed of them."""
    return (Coded(key=packet.is_keyframe, data=bytes(packet)) for packet in packets)
