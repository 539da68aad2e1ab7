"""Restoring a video frame by frame, so that an interrupted run can be resumed."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

import av
from av.video.format import VideoFormat
from torch import Tensor

from diffir._version import __version__
from diffir.errors import PictureError
from diffir.files import digest_of
from diffir.inference import Restorer
from diffir.inference.batch import ahead

from .colour import from_rgb, to_rgb
from .encoding import Coded, Encoding, choose, encode, encoder, flush
from .joining import join, require_joinable
from .smoothing import Smoother
from .source import Times, VideoInfo, frames_from, probe, scan
from .work import SEGMENT, Work, finish, held

logger = logging.getLogger(__name__)

Part: TypeAlias = Literal["looking", "restoring", "joining"]
Report: TypeAlias = Callable[[Part, float, float], None]
"""Called with a part, the amount done and the total: frames while restoring, otherwise 1."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """The result of `restore_video`."""

    frames: int
    width: int
    height: int
    resumed: int
    """Frames that an earlier run restored."""


def restore_video(
    restorer: Restorer,
    source: Path,
    target: Path,
    *,
    weights: str,
    seed: int = 0,
    smooth: float | None = None,
    quality: int = 14,
    overwrite: bool = False,
    report: Report = lambda part, done, total: None,
) -> Done:
    """Restore all frames of a video; sound, subtitles, times and tags are kept.

    An interrupted run is resumed, and the result has the same bits as that of an uninterrupted one.

    Args:
        restorer: for a task without masks.
        source: any video that FFmpeg reads.
        target: .mp4, .m4v, .mov, .mkv or .webm.
        weights: a string that identifies the network, for the plan in the work folder.
        seed: of the noise, which is the same for every frame, so that nothing flickers.
        smooth: the time constant, in seconds, of an average of the IPR over time; None for none.
        quality: of the encoding, from 0, which is lossless except for rounding, to 51.
        overwrite: replace an existing target, and start over if the settings have changed.
        report: see `Report`.

    Raises:
        PictureError: when the video is damaged, can't be written like this, or the target exists.
        DeviceError: when there is not enough memory.
        OSError: when the disk is full; what was restored is kept, and the next run resumes.
    """
    require_target(restorer, source, target, overwrite)
    info = probe(source)
    encoding = choose(info, restorer.scale, target, quality)
    require_joinable(source, info, target, encoding)
    warn_of_losses(source, info, encoding)
    plan = plan_of(restorer, source, encoding, weights=weights, seed=seed, smooth=smooth)
    with held(target, plan, anew=overwrite) as work:
        times = work.times() or scanned(source, info, work, report)
        resumed = min(work.done() * SEGMENT, len(times))
        smoother = None if smooth is None else Smoother(seconds=smooth)
        job = VideoJob(restorer, source, info, times, encoding, seed, smoother)
        restore_segments(job, work, report)
        join(source, info, times, work, target, encoding, lambda done: report("joining", done, 1))
    finish(target)
    return Done(frames=len(times), width=encoding.width, height=encoding.height, resumed=resumed)


def require_target(restorer: Restorer, source: Path, target: Path, overwrite: bool) -> None:
    """Raise PictureError for an unsuitable network or target."""
    if restorer.task.wants_mask:
        raise PictureError(
            f"the task {restorer.task.name} needs a mask for each picture, which a video lacks; "
            "give the weights of another task, or single frames to `diffir restore`"
        )
    if target.exists() and source.exists() and target.samefile(source):
        raise PictureError(f"{target} is the input; choose another name for the output")
    if target.is_dir():
        raise PictureError(f"{target} is a folder; give the name of a video")
    if target.exists() and not overwrite:
        raise PictureError(f"{target} exists; choose another name or add --overwrite")


def warn_of_losses(source: Path, info: VideoInfo, encoding: Encoding) -> None:
    """Warn of what the output does not keep."""
    found = VideoFormat(info.pixels)
    if info.has_alpha:
        logger.warning("%s has transparency, which the output drops", source)
    if info.hdr10 and encoding.codec != "libx265":
        logger.warning("%s has HDR10 metadata, which the output drops; only H.265 keeps it", source)
    if info.interlaced:
        logger.warning(
            "%s is restored interlaced; deinterlace it first for a better result", source
        )
    if VideoFormat(encoding.pixels).components[0].bits < max(c.bits for c in found.components):
        logger.warning(
            "%s has more bits than %s supports, so some are lost", source, encoding.codec
        )


def plan_of(
    restorer: Restorer,
    source: Path,
    encoding: Encoding,
    *,
    weights: str,
    seed: int,
    smooth: float | None,
) -> dict[str, Any]:
    """Everything that determines the bits of the result."""
    return {
        "input": digest_of(source),
        "weights": weights,
        "seed": seed,
        "smooth": smooth,
        "precision": restorer.precision,
        "ensemble": restorer.ensemble,
        "device": restorer.device.type,
        "frames in a segment": SEGMENT,
        "diffir": __version__,
        "pyav": av.__version__,
        **encoding.facts(),
    }


def scanned(source: Path, info: VideoInfo, work: Work, report: Report) -> Times:
    """The times of the frames, saved in the work folder."""
    times = scan(source, info, lambda share: report("looking", share, 1))
    work.save_times(times)
    return times


@dataclass(frozen=True)
class VideoJob:
    """What is the same for all segments, except for the state of the smoother."""

    restorer: Restorer
    source: Path
    info: VideoInfo
    times: Times
    encoding: Encoding
    seed: int
    smoother: Smoother | None


def restore_segments(job: VideoJob, work: Work, report: Report) -> None:
    """Restore and save all missing segments.

    While a frame is restored, the next one is decoded and the previous one encoded, in threads.
    """
    first = work.done()
    total = len(job.times)
    if first * SEGMENT >= total:
        return
    if first and job.smoother is not None:
        length = job.restorer.model.config.ipr_dim
        job.smoother.restore(work.state(first - 1), length)
    frames = decoded_ahead(job, first * SEGMENT)
    for index in range(first, work.segments(total)):
        start = index * SEGMENT
        restored = (
            restored_frame(job, number, rgb, report)
            for number, rgb in enumerate(islice(frames, SEGMENT), start)
        )
        packets = list(encoded(restored, job))
        work.save(index, packets, job.smoother.state() if job.smoother is not None else {})


def encoded(restored: Iterable[Tensor], job: VideoJob) -> Iterator[Coded]:
    """The packets of a run of frames, (1, 3, H, W) in [0, 1], encoded in a thread."""
    encoding = job.encoding
    context, pixels = encoder(encoding), VideoFormat(encoding.pixels)

    def step(numbered: tuple[int, Tensor]) -> list[Coded]:
        index, rgb = numbered
        frame = from_rgb(rgb, pixels, job.info.colour, encoding.matrix)
        return encode(context, index, frame, encoding)

    yield from chain.from_iterable(ahead(step, enumerate(restored)))
    yield from flush(context)


def decoded_ahead(job: VideoJob, first: int) -> Iterator[Tensor]:
    """The frames from number `first` on, (1, 3, H, W) in [0, 1], decoded in a thread."""
    frames = frames_from(job.source, first)

    def following(_: int) -> Tensor:
        frame = next(frames, None)
        if frame is None:
            raise PictureError(
                f"{job.source} changed while it was read; start again, and leave the file alone"
            )
        return to_rgb(frame, job.info.colour)

    return ahead(following, range(first, len(job.times)))


def restored_frame(job: VideoJob, number: int, rgb: Tensor, report: Report) -> Tensor:
    """One frame restored: (1, 3, H·scale, W·scale) in [0, 1]."""
    total = len(job.times)
    if job.smoother is not None:
        job.smoother.begin(rgb, float(passed(job, number)))
    report("restoring", number, total)
    restored = job.restorer.restore_batch(
        rgb,
        seeds=[job.seed],
        progress=lambda share: report("restoring", number + share, total),
        ipr_filter=job.smoother,
    )
    report("restoring", number + 1, total)
    return restored


def passed(job: VideoJob, number: int) -> Fraction:
    """Seconds since the previous frame; 0 for the first."""
    starts = job.times.starts
    return (starts[number] - starts[max(0, number - 1)]) * job.info.time_base
