"""A video restored frame by frame, and what is needed to go on after a kill."""

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
from .source import Look, Times, frames_from, look_at, look_through
from .work import SEGMENT, Work, finish, held

logger = logging.getLogger(__name__)

Part: TypeAlias = Literal["looking", "restoring", "joining"]
Report: TypeAlias = Callable[[Part, float, float], None]
"""Told how much of how much of a part is done: of the frames where it restores, of 1 elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What was made."""

    frames: int
    width: int
    height: int
    resumed: int
    """Frames that an earlier run had restored."""


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
    """Restore all frames of a video; sound, subtitles, times and tags stay as they are.

    A run that was ended goes on where it was, and the result has the same bits as an unbroken one.

    Args:
        restorer: for a task without masks.
        source: any video that FFmpeg reads.
        target: .mp4, .m4v, .mov, .mkv or .webm.
        weights: what tells the network from others, for the plan in the work folder.
        seed: of the noise that every frame starts from, the same one, so that nothing flickers.
        smooth: the time constant, in seconds, of an average of the IPR over time; None for none.
        quality: of the encoding, from 0, which loses nothing but roundings, to 51.
        overwrite: replace what is there, and begin anew where other settings were under way.
        report: see `Report`.

    Raises:
        PictureError: when the video is damaged, can't be written so, or the target is there.
        DeviceError: when memory does not suffice.
        OSError: when the disk is full; what was restored stays, and the next run goes on.
    """
    require_target(restorer, source, target, overwrite)
    look = look_at(source)
    encoding = choose(look, restorer.scale, target, quality)
    require_joinable(source, look, target, encoding)
    tell_losses(source, look, encoding)
    plan = plan_of(restorer, source, encoding, weights=weights, seed=seed, smooth=smooth)
    with held(target, plan, anew=overwrite) as work:
        times = work.times() or looked_through(source, look, work, report)
        resumed = min(work.done() * SEGMENT, len(times))
        smoother = None if smooth is None else Smoother(seconds=smooth)
        job = Job(restorer, source, look, times, encoding, seed, smoother)
        restore_segments(job, work, report)
        join(source, look, times, work, target, encoding, lambda done: report("joining", done, 1))
    finish(target)
    return Done(frames=len(times), width=encoding.width, height=encoding.height, resumed=resumed)


def require_target(restorer: Restorer, source: Path, target: Path, overwrite: bool) -> None:
    """Raise PictureError for a network or a target that can't be meant."""
    if restorer.task.wants_mask:
        raise PictureError(
            f"the task {restorer.task.name} wants a mask for each picture, which a video has not; "
            "give the weights of another task, or single frames to `diffir restore`"
        )
    if target.exists() and source.exists() and target.samefile(source):
        raise PictureError(f"{target} is the input; choose another name for the output")
    if target.is_dir():
        raise PictureError(f"{target} is a folder; give the name of a video")
    if target.exists() and not overwrite:
        raise PictureError(f"{target} exists; choose another name or add --overwrite")


def tell_losses(source: Path, look: Look, encoding: Encoding) -> None:
    """Warn of what does not come out as it went in."""
    found = VideoFormat(look.pixels)
    if look.has_alpha:
        logger.warning("%s has transparency, which the output has not", source)
    if look.hdr10 and encoding.codec != "libx265":
        logger.warning("%s says how bright it gets (HDR10), which the output does not", source)
    if look.interlaced:
        logger.warning("%s is interlaced; it is restored as it is, better without", source)
    if VideoFormat(encoding.pixels).components[0].bits < max(c.bits for c in found.components):
        logger.warning("%s has more bits than %s takes", source, encoding.codec)


def plan_of(
    restorer: Restorer,
    source: Path,
    encoding: Encoding,
    *,
    weights: str,
    seed: int,
    smooth: float | None,
) -> dict[str, Any]:
    """All that decides about the bits of the result."""
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


def looked_through(source: Path, look: Look, work: Work, report: Report) -> Times:
    """The times of the frames, noted in the work folder."""
    times = look_through(source, look, lambda share: report("looking", share, 1))
    work.note_times(times)
    return times


@dataclass(frozen=True)
class Job:
    """What stays the same from segment to segment, but for the state of the smoother."""

    restorer: Restorer
    source: Path
    look: Look
    times: Times
    encoding: Encoding
    seed: int
    smoother: Smoother | None


def restore_segments(job: Job, work: Work, report: Report) -> None:
    """Restore and save all segments that are not there yet.

    While a frame is restored, the next is decoded and the one before is encoded, each in a thread.
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


def encoded(restored: Iterable[Tensor], job: Job) -> Iterator[Coded]:
    """The packets of a run of frames, (1, 3, H, W) in [0, 1], encoded in a thread."""
    encoding = job.encoding
    context, pixels = encoder(encoding), VideoFormat(encoding.pixels)

    def step(numbered: tuple[int, Tensor]) -> list[Coded]:
        index, rgb = numbered
        frame = from_rgb(rgb, pixels, job.look.colour, encoding.matrix)
        return encode(context, index, frame, encoding)

    yield from chain.from_iterable(ahead(step, enumerate(restored)))
    yield from flush(context)


def decoded_ahead(job: Job, first: int) -> Iterator[Tensor]:
    """The frames from a number on as (1, 3, H, W) in [0, 1], decoded in a thread."""
    frames = frames_from(job.source, first)

    def following(_: int) -> Tensor:
        frame = next(frames, None)
        if frame is None:
            raise PictureError(f"{job.source} changed while it was read; leave it and begin anew")
        return to_rgb(frame, job.look.colour)

    return ahead(following, range(first, len(job.times)))


def restored_frame(job: Job, number: int, rgb: Tensor, report: Report) -> Tensor:
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


def passed(job: Job, number: int) -> Fraction:
    """Seconds from the frame before to a frame; 0 for the first."""
    starts = job.times.starts
    return (starts[number] - starts[max(0, number - 1)]) * job.look.time_base
