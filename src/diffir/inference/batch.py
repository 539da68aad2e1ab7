"""Restore many files one after another; a bad file does not stop the others."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from diffir.errors import DiffIRError, MaskError, PictureError
from diffir.files import whole_file
from diffir.images import MAX_PIXELS, Picture, decode, encode, require_fit
from diffir.threads import Answer, Threads

from .jobs import Job, is_picture_name
from .manifest import (
    Known,
    Manifest,
    is_replaceable,
    known_to,
    reason_to_skip,
    unreadable,
)
from .places import Place, content, exists, is_local, put
from .planes import filled_alpha
from .restorer import Progress, Restorer

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a job: restored, skipped or failed, with the reason."""

    job: Job
    error: str | None = None
    skipped: str | None = None


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Digests of a job's inputs, and when work on it began."""

    source: str
    """The sha256 of the file, as it was read."""
    mask: str | None
    began: float


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A job and its decoded inputs."""

    job: Job
    inputs: Inputs
    picture: Picture
    mask: Picture | None


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A job and its restored picture."""

    job: Job
    inputs: Inputs
    picture: Picture


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A job, the content of its output, and facts for its line in the manifest."""

    job: Job
    data: bytes
    facts: dict[str, str | float | None]


def restore_files(
    restorer: Restorer,
    jobs: Iterable[Job],
    *,
    seed: int = 0,
    overwrite: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
    manifest: Manifest | None = None,
) -> Generator[Outcome, None, None]:
    """Restore files one after another with the same seed, yielding the outcome of each.

    While one is restored, the next is read and the previous one written, so three pictures are in
    memory. `progress` is called with the number of files done, including the fraction of the
    current one. With a manifest, files that it lists as made are skipped, and others are added.
    """

    def load(job: Job) -> Loaded | Outcome:
        return load_job(job, known_to(manifest, job), overwrite=overwrite, max_pixels=max_pixels)

    def save(restored: Restored | Outcome) -> Outcome:
        return save_encoded(encode_restored(restored), manifest, overwrite=overwrite)

    restored = (
        restore_loaded(restorer, item, seed, beyond(progress, done))
        for done, item in enumerate(ahead(load, jobs))
    )
    yield from ahead(save, restored)


def ahead(step: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results of a step, computed by a thread one item ahead."""
    with Threads(1, finish=True) as thread:
        pending: Answer[Result] | None = None
        for item in items:
            following = thread.submit(step, item)
            if pending is not None:
                yield pending.get()
            pending = following
        if pending is not None:
            yield pending.get()


def beyond(progress: Progress | None, done: int) -> Progress | None:
    """Progress of one file, added to the number of files done."""
    if progress is None:
        return None
    return lambda share: progress(done + share)


def make(
    restorer: Restorer,
    job: Job,
    known: Known | None,
    *,
    seed: int,
    overwrite: bool,
    max_pixels: int,
) -> Encoded | Outcome:
    """Everything for a job except writing the output."""
    loaded = load_job(job, known, overwrite=overwrite, max_pixels=max_pixels)
    return encode_restored(restore_loaded(restorer, loaded, seed, None))


def decide(job: Job, known: Known | None, *, overwrite: bool) -> Outcome | None:
    """The outcome of a job that needs no decoding of its picture; None for all others."""
    try:
        reason = None if overwrite else reason_to_skip(job, known)
        if reason is not None:
            return Outcome(job=job, skipped=reason)
        if not is_picture_name(job.target):
            raise PictureError(f"{job.source} has no picture suffix; choose one with --format")
        if job.mask is not None and not exists(job.mask):
            raise MaskError(
                f"{job.source} has no mask: {job.mask} is missing; draw it, white = hole"
            )
        if is_local(job.target) and job.target.is_dir():
            raise PictureError(f"{job.target} is a folder; rename it, or choose another output")
    except (DiffIRError, OSError) as error:
        return failed(job, error)
    return None


def load_job(
    job: Job, known: Known | None, *, overwrite: bool, max_pixels: int
) -> Loaded | Outcome:
    """Read picture and mask, unless nothing needs to be done."""
    began = time.monotonic()
    decided = decide(job, known, overwrite=overwrite)
    if decided is not None:
        return decided
    try:
        mask_content, mask = (None, None) if job.mask is None else load(job.mask, max_pixels)
        source_content, picture = load(job.source, max_pixels)
        inputs = Inputs(source=source_content, mask=mask_content, began=began)
    except (DiffIRError, MemoryError) as error:
        return failed(job, error)
    return Loaded(job=job, inputs=inputs, picture=picture, mask=mask)


def load(path: Place, max_pixels: int) -> tuple[str, Picture]:
    """The sha256 of a file and its picture; read only once, since it may be a pipe or remote.

    Raises PictureError.
    """
    try:
        data = content(path)
    except OSError as error:
        raise unreadable(path, error) from error
    return hashlib.sha256(data).hexdigest(), decode(data, str(path), max_pixels=max_pixels)


def restore_loaded(
    restorer: Restorer, loaded: Loaded | Outcome, seed: int, progress: Progress | None
) -> Restored | Outcome:
    """Restore a loaded job; outcomes are passed through."""
    if isinstance(loaded, Outcome):
        return loaded
    job = loaded.job
    try:
        refused = refused_by_format(restorer, loaded)
        if refused is not None:
            return refused
        picture = restorer(loaded.picture, mask=loaded.mask, seed=seed, progress=progress)
    except DiffIRError as error:
        return Outcome(job=job, error=f"{job.source}: {error}")
    except MemoryError as error:
        return failed(job, error)
    return Restored(job=job, inputs=loaded.inputs, picture=picture)


def refused_by_format(restorer: Restorer, loaded: Loaded) -> Outcome | None:
    """The failure of a job whose output format cannot hold the restored picture, else None.

    Checked before the network runs. Raises MaskError as `Restorer.holes`.
    """
    picture, target = loaded.picture, loaded.job.target
    holes = None if picture.alpha is None else restorer.holes(picture, loaded.mask)
    width, height = restorer.scale * picture.width, restorer.scale * picture.height
    try:
        require_fit(target.suffix, width, height, filled_alpha(picture, holes))
    except PictureError as error:
        return Outcome(job=loaded.job, error=f"{target}: {error}")
    return None


def encode_restored(restored: Restored | Outcome) -> Encoded | Outcome:
    """Encode a restored picture; outcomes are passed through."""
    if isinstance(restored, Outcome):
        return restored
    job, picture = restored.job, restored.picture
    try:
        data = encode(picture, job.target.suffix)
    except PictureError as error:
        return Outcome(job=job, error=f"{job.target}: {error}")
    except MemoryError as error:
        return failed(job, error)
    facts: dict[str, str | float | None] = {
        "source_sha256": restored.inputs.source,
        "mask_sha256": restored.inputs.mask,
        "target_sha256": hashlib.sha256(data).hexdigest(),
        "width": picture.width,
        "height": picture.height,
        "bytes": len(data),
        "seconds": round(time.monotonic() - restored.inputs.began, 3),
    }
    return Encoded(job=job, data=data, facts=facts)


def save_encoded(
    encoded: Encoded | Outcome, manifest: Manifest | None, *, overwrite: bool
) -> Outcome:
    """Write an output and its manifest line; failures get only a line, skipped jobs nothing."""
    outcome = encoded if isinstance(encoded, Outcome) else write(encoded, manifest, overwrite)
    if outcome.error is not None and manifest is not None:
        with suppress(OSError):  # the error itself is reported in any case
            manifest.add(outcome.job, error=outcome.error)
    return outcome


def write(encoded: Encoded, manifest: Manifest | None, overwrite: bool) -> Outcome:
    """Write a file and its line, unless another file has appeared there meanwhile."""
    job, target = encoded.job, encoded.job.target
    try:
        if not overwrite and not is_replaceable(job, known_to(manifest, job)):
            raise PictureError(
                f"{target}: the file exists; allow overwriting it or choose another name"
            )
        add_line = None if manifest is None else partial(manifest.add, job, **encoded.facts)
        store(encoded.data, target, add_line)
    except PictureError as error:
        return failed(job, error)
    except (OSError, ValueError) as error:
        return Outcome(
            job=job,
            error=f"{target}: cannot be written ({error}); check path, permissions and disk space",
        )
    return Outcome(job=job)


def store(data: bytes, target: Place, add_line: Callable[[], None] | None) -> None:
    """Write a file atomically, its line just before; raises OSError and ValueError."""
    if not is_local(target):
        if add_line is not None:
            add_line()
        put(data, target)
        return
    with whole_file(target) as file:
        file.write(data)
        if add_line is not None:
            file.flush()
            os.fsync(
                file.fileno()
            )  # before the line, so that line and name follow each other at once
            add_line()


def failed(job: Job, error: DiffIRError | MemoryError | OSError) -> Outcome:
    """The outcome of a failed job; every DiffIRError here names its file."""
    if isinstance(error, MemoryError):
        return Outcome(job=job, error=f"{job.source}: not enough memory; make it smaller")
    if isinstance(error, OSError):
        where, why = error.filename or job.source, error.strerror or error
        return Outcome(
            job=job, error=f"{where} cannot be accessed ({why}); check name and permissions"
        )
    return Outcome(job=job, error=str(error))
