"""Many files: which becomes which, and one bad file never stops the rest."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from diffir.errors import DiffIRError, MaskError, PictureError
from diffir.images import MAX_PIXELS, SUFFIXES, Picture, read

from .restorer import Progress, Restorer

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to restore."""

    source: Path
    target: Path
    mask: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job: restored, skipped because it was there, or failed for a reason."""

    job: Job
    error: str | None = None
    skipped: bool = False


def plan(
    sources: Sequence[Path], output: Path, mask: Path | None = None, suffix: str | None = None
) -> list[Job]:
    """What to restore into what; nothing is written, and pictures are not opened.

    One file goes to `output` itself, unless that is a folder; several files and folders go into the
    folder `output`, the structure below each given folder kept. Where output or masks lie inside a
    given folder, they are not taken for pictures to restore.

    Args:
        sources: files and folders.
        output: a file or a folder.
        mask: one mask for all, or a folder of masks with the pictures' names (any picture suffix).
        suffix: of the files written into a folder, say `.png`; None keeps each picture's own.

    Raises:
        PictureError: when a source is missing or empty of pictures, the output can't be there, an
            output is an input, or two pictures would become one file.
        MaskError: when the mask, or the folder of masks, is missing.
    """
    if mask is not None and not mask.exists():
        raise MaskError(f"{mask} does not exist; give a mask or a folder of masks")
    into_folder = means_folder(sources, output)
    require_suffix(suffix, output, into_folder)
    require_writable(output if into_folder else output.parent)
    masks = masks_by_name(mask) if mask is not None and mask.is_dir() else {}
    jobs = []
    for source in sources:
        for file, relative in pictures_of(source, [path for path in (output, mask) if path]):
            target = output / relative if into_folder else output
            if suffix:
                target = target.with_suffix(suffix)
            jobs.append(Job(source=file, target=target, mask=mask_of(relative, mask, masks)))
    refuse_collisions(jobs)
    return jobs


def is_picture_name(path: Path) -> bool:
    """Whether the name ends as those of pictures that can be written."""
    return path.suffix.lower() in SUFFIXES


def means_folder(sources: Sequence[Path], output: Path) -> bool:
    """Whether the output is a folder to put pictures in; raises PictureError where it can't be."""
    if output.is_dir():
        return True
    if len(sources) == 1 and not sources[0].is_dir():
        if output.suffix and not is_picture_name(output):
            raise PictureError(
                f"{output} has no suffix of a picture; name one of {', '.join(SUFFIXES)}, "
                "or make a folder of that name first"
            )
        return not output.suffix
    if is_picture_name(output):
        raise PictureError(
            f"{output} is named as one picture; folders and several pictures want a folder"
        )
    return True


def require_suffix(suffix: str | None, output: Path, into_folder: bool) -> None:
    """Raise PictureError for a suffix that is none of a picture, or that the output contradicts."""
    if suffix is not None and suffix not in SUFFIXES:
        raise PictureError(f"format {suffix[1:]!r} found; wanted one of {', '.join(SUFFIXES)}")
    if suffix is not None and not into_folder and output.suffix.lower() != suffix:
        raise PictureError(
            f"{output} and format {suffix[1:]!r} found; formats are for folders, so leave it out"
        )


def require_writable(folder: Path) -> None:
    """Raise PictureError, before hours are spent, where the folder can't be made or written to."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise PictureError(f"{nearest} is a file; name another output folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PictureError(f"{nearest} can't be written to; change its rights or name another one")


def pictures_of(source: Path, left_out: Iterable[Path]) -> list[tuple[Path, Path]]:
    """The pictures of a file or folder, each with its path relative to the folder.

    What lies in a folder under paths of `left_out` that are inside it stays out.
    """
    if not source.exists():
        raise PictureError(f"{source} does not exist; check the path")
    if not source.is_dir():
        return [(source, Path(source.name))]
    root = source.resolve()
    inside = [path.resolve() for path in left_out if root in path.resolve().parents]
    files = [
        file
        for file in pictures_below(source)
        if not any(file.resolve().is_relative_to(path) for path in inside)
    ]
    if not files:
        raise PictureError(f"{source} holds no picture; looked for {', '.join(SUFFIXES)}")
    return [(file, file.relative_to(source)) for file in files]


def pictures_below(folder: Path) -> list[Path]:
    """Every file in a folder and its folders that is named as a picture, sorted."""
    return sorted(path for path in folder.rglob("*") if is_picture_name(path) and path.is_file())


def masks_by_name(folder: Path) -> dict[Path, Path]:
    """The masks in a folder by their relative path, with its suffix and without."""
    masks = {file.relative_to(folder): file for file in pictures_below(folder)}
    return masks | {relative.with_suffix(""): file for relative, file in masks.items()}


def mask_of(relative: Path, mask: Path | None, masks: dict[Path, Path]) -> Path | None:
    """The mask of a picture, or where in the folder `mask` it was expected."""
    if mask is None or not mask.is_dir():
        return mask
    return masks.get(relative, masks.get(relative.with_suffix(""), mask / relative))


def refuse_collisions(jobs: Sequence[Job]) -> None:
    """Raise PictureError where an output would overwrite an input, a mask or another output."""
    inputs = {path.resolve() for job in jobs for path in (job.source, job.mask) if path}
    seen: dict[Path, Path] = {}
    for job in jobs:
        target = job.target.resolve()
        if target in inputs:
            raise PictureError(f"{job.target} is an input; choose another output")
        if target in seen:
            raise PictureError(
                f"{seen[target]} and {job.source} would both become {job.target}; "
                f"restore them apart"
            )
        seen[target] = job.source


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A job, and what was read for it."""

    job: Job
    picture: Picture
    mask: Picture | None


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A job, and what is to be written."""

    job: Job
    picture: Picture


def restore_files(
    restorer: Restorer,
    jobs: Iterable[Job],
    *,
    seed: int = 0,
    overwrite: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Restore file after file, yielding what became of each; every file gets the same seed.

    While one is restored, the next is read and the one before is written, so that three pictures
    are in memory. `progress` is told how many files are done, the share of the one under way too.
    """
    load = partial(load_job, overwrite=overwrite, max_pixels=max_pixels)
    save = partial(save_restored, overwrite=overwrite)
    restored = (
        restore_loaded(restorer, item, seed, beyond(progress, done))
        for done, item in enumerate(ahead(load, jobs))
    )
    yield from ahead(save, restored)


def ahead(step: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results of a step, which a thread computes one item ahead."""
    with ThreadPoolExecutor(1) as thread:
        under_way: Future[Result] | None = None
        for item in items:
            following = thread.submit(step, item)
            if under_way is not None:
                yield under_way.result()
            under_way = following
        if under_way is not None:
            yield under_way.result()


def beyond(progress: Progress | None, done: int) -> Progress | None:
    """What tells the share of a file on top of the files that are done."""
    if progress is None:
        return None
    return lambda share: progress(done + share)


def load_job(job: Job, *, overwrite: bool, max_pixels: int) -> Loaded | Outcome:
    """Read picture and mask, unless there is nothing to do."""
    if job.target.is_file() and not overwrite:
        return Outcome(job=job, skipped=True)
    try:
        if not is_picture_name(job.target):
            raise PictureError(f"{job.source} has no suffix of a picture; choose one with --format")
        picture = read(job.source, max_pixels=max_pixels)
        if job.mask is not None and not job.mask.exists():
            raise MaskError(f"{job.source} has no mask: no {job.mask}; draw it, white = hole")
        mask = None if job.mask is None else read(job.mask, max_pixels=max_pixels)
    except (DiffIRError, MemoryError) as error:
        return failed(job, error)
    return Loaded(job=job, picture=picture, mask=mask)


def restore_loaded(
    restorer: Restorer, loaded: Loaded | Outcome, seed: int, progress: Progress | None
) -> Restored | Outcome:
    """Restore what was read; what has come to its end already is handed on."""
    if isinstance(loaded, Outcome):
        return loaded
    job = loaded.job
    try:
        picture = restorer(loaded.picture, mask=loaded.mask, seed=seed, progress=progress)
    except DiffIRError as error:
        return Outcome(job=job, error=f"{job.source}: {error}")
    except MemoryError as error:
        return failed(job, error)
    return Restored(job=job, picture=picture)


def save_restored(restored: Restored | Outcome, *, overwrite: bool) -> Outcome:
    """Write what was restored; what has come to its end already is handed on."""
    if isinstance(restored, Outcome):
        return restored
    job = restored.job
    try:
        restored.picture.save(job.target, overwrite=overwrite)
    except (DiffIRError, MemoryError) as error:
        return failed(job, error)
    return Outcome(job=job)


def failed(job: Job, error: DiffIRError | MemoryError) -> Outcome:
    """The outcome of a job that failed; every DiffIRError here names the file to blame."""
    if isinstance(error, MemoryError):
        return Outcome(job=job, error=f"{job.source}: not enough memory for it; make it smaller")
    return Outcome(job=job, error=str(error))
