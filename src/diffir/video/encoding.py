"""Encoding: the choice of encoder and settings, and frames to packets."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import torch
from av.codec.codec import UnknownCodecError, find_best_pix_fmt_of_list
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.stream import VideoStream

from diffir.errors import PictureError

from .colour import UNSPECIFIED, Colour, depth_of, is_gray, is_rgb
from .source import VideoInfo

THREADS = 1  # more would change the bits of some encoders, and restoring is the bottleneck
LOSSLESS = 0


@dataclass(frozen=True, kw_only=True)
class Kind:
    """An output container, and its encoders for 8 bits and for more."""

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
    """All settings of an encoder: equal values give equal bits."""

    codec: str
    width: int
    height: int
    pixels: str
    rate: Fraction
    aspect: Fraction | None
    colour: Colour
    matrix: int
    """Of the pixels, by the code points of ITU-T H.273."""
    matrix_tag: int
    """In the file: unspecified if players assume the right one anyway."""
    options: dict[str, str]
    header: bool
    """Whether the container needs the stream's header separate from the packets."""

    def facts(self) -> dict[str, Any]:
        """The values that distinguish encodings, for JSON."""
        return {key: str(value) for key, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class Coded:
    """An encoded frame, and whether it can be decoded by itself."""

    key: bool
    data: bytes


def kind_of(target: Path) -> Kind:
    """The container of a file name; PictureError if it is not supported."""
    kind = KINDS.get(target.suffix.lower())
    if kind is None:
        raise PictureError(
            f"{target} does not have the suffix of a supported video format; "
            f"choose one of {', '.join(KINDS)}"
        )
    return kind


def choose(info: VideoInfo, scale: int, target: Path, quality: int) -> Encoding:
    """The encoding of the restored video, with the input's bit depth, colours and pixel shape.

    Args:
        info: about the input.
        scale: factor by which the frames grow.
        target: its suffix determines the container.
        quality: from 0, which is lossless except for rounding, to 51.

    Raises:
        PictureError: when the encoder rejects such frames, which is tried.
    """
    kind = kind_of(target)
    found = VideoFormat(info.pixels)
    codec = kind.shallow if depth_of(found) <= 8 else kind.deep
    width, height = info.width * scale, info.height * scale
    matrix = info.colour.matrix_at(info.height)
    guessed = info.colour.matrix == UNSPECIFIED and info.colour.matrix_at(height) == matrix
    encoding = Encoding(
        codec=codec,
        width=width,
        height=height,
        pixels=pixels_for(codec, found, width, height),
        rate=info.rate.limit_denominator(1_000_000),
        aspect=info.aspect,
        colour=info.colour,
        matrix=matrix,
        matrix_tag=UNSPECIFIED if guessed else matrix,
        options=options_of(codec, quality, info.hdr10),
        header=bool(av.format.ContainerFormat(kind.format, "w").flags & GLOBAL_HEADER),
    )
    require_encodable(encoding)
    return encoding


GLOBAL_HEADER = 0x40  # AVFMT_GLOBALHEADER


def pixels_for(codec: str, found: VideoFormat, width: int, height: int) -> str:
    """The encoder's pixel format nearest to that of the input.

    RGB and gray become 4:2:0, which all players support; odd sizes get chroma at full resolution,
    because they can't be halved.
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
    """The formats of an encoder that are written here: YCbCr without alpha."""
    try:
        offered = av.Codec(codec, "w").video_formats or []
    except UnknownCodecError as error:
        raise PictureError(
            f"this PyAV lacks the encoder {codec}; install PyAV's own wheel "
            "with `pip install 'diffir[video]'`, or choose another suffix"
        ) from error
    return [pixels for pixels in offered if pixels.name.startswith("yuv4")]


def divides(pixels: VideoFormat, width: int, height: int) -> bool:
    """Whether chroma has a whole number of pixels."""
    across, down = pixels.chroma_width(64), pixels.chroma_height(64)
    return width * across % 64 == 0 and height * down % 64 == 0


def options_of(codec: str, quality: int, hdr10: str) -> dict[str, str]:
    """An encoder's options for a quality from 0 to 51, and for the result of `hdr10_of`."""
    stretched = str(round(quality * 63 / 51))
    if codec == "libx264":
        rate = "qp" if quality == LOSSLESS else "crf"
        return {"preset": "medium", rate: str(quality), **repeatable_x264()}
    if codec == "libx265":
        own = ["log-level=none", "frame-threads=1", f"pools={THREADS}"]
        own += ["lossless=1"] * (quality == LOSSLESS) + [hdr10] * bool(hdr10)
        return {"preset": "medium", "crf": str(quality), "x265-params": ":".join(own)}
    if codec == "libvpx-vp9":
        exact = {"lossless": "1"} if quality == LOSSLESS else {}
        return {"crf": stretched, "b": "0", "deadline": "good", "cpu-used": "2", **exact}
    return {"preset": "6", "crf": stretched}


def repeatable_x264() -> dict[str, str]:
    """Options without which libx264 may give other bits for the same frames.

    Its macroblock tree for AVX-512 lets uninitialised memory decide. The one for AVX2 does not, and
    gives as many bytes of the same quality, a little later.
    """
    has_avx2 = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    return {"x264-params": "asm=AVX2"} if has_avx2 else {}


def require_encodable(encoding: Encoding) -> None:
    """Open the encoder once; raise PictureError if it refuses."""
    os.environ.setdefault("SVT_LOG", "1")  # errors only; SVT-AV1 bypasses all loggers
    context = encoder(encoding)
    try:
        context.open()
    except (av.FFmpegError, MemoryError) as error:
        size = f"{encoding.width}×{encoding.height}"
        raise PictureError(
            f"the encoder {encoding.codec} does not support {size} frames in {encoding.pixels}; "
            "make the video smaller or larger, or choose another suffix"
        ) from error


def encoder(encoding: Encoding) -> VideoCodecContext:
    """An encoder that numbers frames; the container stores when they are shown."""
    context = VideoCodecContext.create(encoding.codec, "w")
    assert isinstance(context, VideoCodecContext)
    prepare(context, encoding)
    return context


def prepare(context: VideoCodecContext, encoding: Encoding) -> None:
    """Apply all settings to an encoder."""
    context.width, context.height = encoding.width, encoding.height
    context.pix_fmt = encoding.pixels
    context.framerate, context.time_base = encoding.rate, 1 / encoding.rate
    context.options = dict(encoding.options)
    context.thread_count = THREADS
    # Without B-frames, decoding order is display order, so an MP4, which stores durations in
    # decoding order, keeps the duration of each frame.
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
    """Send the next frame of a run to an encoder; returns the packets that are ready."""
    frame.pts, frame.time_base = index, 1 / encoding.rate
    frame.colorspace, frame.color_range = encoding.matrix_tag, encoding.colour.range_tag
    frame.color_primaries = encoding.colour.primaries
    frame.color_trc = encoding.colour.transfer
    return list(coded(context.encode(frame)))


def flush(context: VideoCodecContext) -> list[Coded]:
    """The last packets of a run."""
    return list(coded(context.encode(None)))


def coded(packets: "Iterable[av.Packet[VideoStream]]") -> Iterator[Coded]:
    """The parts of packets that are needed."""
    return (Coded(key=packet.is_keyframe, data=bytes(packet)) for packet in packets)
