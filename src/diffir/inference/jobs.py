"""Decide which input becomes which output, before anything is written."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from diffir.errors import MaskError, PictureError
from diffir.images import SUFFIXES

from .places import (
    Place,
    below,
    exists,
    files_below,
    is_dir,
    is_local,
    is_same,
    is_within,
    real,
    require_writable_store,
)

logger = logging.getLogger(__name__)

NOT_READ = (
    ".heic",
    ".heif",
    ".avif",
    ".gif",
    ".jxl",
    ".jp2",
    ".psd",
    ".dng",
    ".cr2",
    ".nef",
    ".arw",
)
"""Formats that are not supported; users are warned of such files in folders."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to restore."""

    source: Place
    target: Place
    relative: Path
    """The path of the source relative to the given folder, or its name if given by itself."""
    mask: Place | None = None


def plan(
    sources: Sequence[Place],
    output: Place,
    mask: Place | None = None,
    suffix: str | None = None,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> list[Job]:
    """The jobs for some sources; nothing is written, and pictures are not opened.

    One file goes to `output` itself, unless that is a folder; several files and folders go into the
    folder `output`, keeping the structure below each given folder. An output or mask folder inside
    a given folder is not restored.

    Args:
        sources: files and folders, local or behind URLs (`places.parse_place`).
        output: a file or a folder.
        mask: one mask for all, or a folder of masks with the pictures' names (any picture suffix).
        suffix: of the files written into a folder, such as `.png`; None keeps each picture's.
        include: `fnmatch` patterns for the path relative to the given folder, `*` matching slashes;
            only matching files are restored. Empty: all.
        exclude: matching files are left out.

    Raises:
        PictureError: when a source is missing or has no pictures, no picture matches the patterns,
            the output cannot be created, an output is an input or would become one, or two
            pictures have the same output.
        MaskError: when the mask, or the folder of masks, is missing, or is the picture itself.
        OSError: when a store cannot be reached.
    """
    if mask is not None and not exists(mask):
        raise MaskError(f"{mask} does not exist; give a mask or a folder of masks")
    into_folder = means_folder(sources, output)
    require_suffix(suffix, output, into_folder)
    require_writable(output if into_folder else output.parent)
    masks = masks_by_name(mask) if mask is not None and is_dir(mask) else {}
    jobs = []
    for source in sources:
        require_apart(source, output)
        for file, relative in pictures_of(source, [path for path in (output, mask) if path]):
            target = output / relative if into_folder else output
            if suffix:
                target = target.with_suffix(suffix)
            found = mask_of(relative, mask, masks)
            jobs.append(Job(source=file, target=target, relative=relative, mask=found))
    jobs = [job for job in jobs if is_wanted(job.relative, include, exclude)]
    if not jobs:
        raise PictureError("no picture matches --include and --exclude; `*` matches every picture")
    refuse_collisions(jobs)
    refuse_new_inputs(jobs, [source for source in sources if is_dir(source)], output)
    return jobs


def is_wanted(relative: Path, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a path matches a pattern to include, if there are any, and none to exclude."""
    name = relative.as_posix()
    if include and not any(fnmatchcase(name, pattern) for pattern in include):
        return False
    return not any(fnmatchcase(name, pattern) for pattern in exclude)


def is_picture_name(path: Place) -> bool:
    """Whether the suffix is that of a supported picture format."""
    return path.suffix.lower() in SUFFIXES


def means_folder(sources: Sequence[Place], output: Place) -> bool:
    """Whether the output is a folder for pictures; raises PictureError if it cannot be one."""
    if is_dir(output):
        return True
    if len(sources) == 1 and not is_dir(sources[0]):
        if output.suffix and not is_picture_name(output):
            raise PictureError(
                f"{output} has no picture suffix; use one of {', '.join(SUFFIXES)}, "
                "or create a folder of that name first"
            )
        return not output.suffix
    if is_picture_name(output):
        raise PictureError(
            f"{output} has a picture suffix; folders and several pictures need a folder as output"
        )
    return True


def require_suffix(suffix: str | None, output: Place, into_folder: bool) -> None:
    """Raise PictureError for a suffix that is unsupported, or contradicts the output."""
    if suffix is not None and suffix not in SUFFIXES:
        raise PictureError(f"format {suffix[1:]!r} found; wanted one of {', '.join(SUFFIXES)}")
    if suffix is not None and not into_folder and output.suffix.lower() != suffix:
        raise PictureError(
            f"{output} and format {suffix[1:]!r} found; formats are only for folders; leave it out"
        )


def require_writable(folder: Place) -> None:
    """Raise PictureError, before any work, if the folder cannot be created or written to."""
    if not is_local(folder):
        require_writable_store(folder)
        return
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise PictureError(f"{nearest} is a file; choose another output folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PictureError(f"{nearest} is not writable; change its permissions or choose another")


def pictures_of(source: Place, left_out: Iterable[Place]) -> list[tuple[Place, Path]]:
    """The pictures of a file or folder, each with its path relative to the folder.

    Files at or below the paths `left_out` are left out.
    """
    if not exists(source):
        raise PictureError(f"{source} does not exist; check the path")
    if not is_dir(source):
        return [(source, Path(source.name))]
    inside = [path for path in left_out if is_within(path, source)]
    candidates = [
        file
        for file in files_below(source)
        if not any(is_at_or_within(file, path) for path in inside)
    ]
    files = [file for file in candidates if is_picture_name(file)]
    warn_unsupported(source, candidates)
    if not files:
        raise PictureError(f"{source} holds no picture; looked for {', '.join(SUFFIXES)}")
    return [(file, Path(below(file, source))) for file in files]


def warn_unsupported(source: Place, files: Iterable[Place]) -> None:
    """Warn of pictures in unsupported formats, which are left out."""
    suffixes = [file.suffix.lower() for file in files if file.suffix.lower() in NOT_READ]
    if suffixes:
        logger.warning(
            "%s: %d files left out, since %s is not supported; convert them first",
            source,
            len(suffixes),
            ", ".join(sorted(set(suffixes))),
        )


def is_at_or_within(file: Place, path: Place) -> bool:
    """Whether a file is at or below a path, after resolving links."""
    if is_local(file) and is_local(path):
        return real(file).is_relative_to(real(path))
    return is_same(file, path) or is_within(file, path)


def masks_by_name(folder: Place) -> dict[Path, Place]:
    """The masks in a folder by their relative path, with and without suffix."""
    pictures = [file for file in files_below(folder) if is_picture_name(file)]
    masks = {Path(below(file, folder)): file for file in pictures}
    return masks | {relative.with_suffix(""): file for relative, file in masks.items()}


def mask_of(relative: Path, mask: Place | None, masks: dict[Path, Place]) -> Place | None:
    """The mask of a picture, or its expected path in the folder `mask`."""
    if mask is None or not is_dir(mask):
        return mask
    return masks.get(relative, masks.get(relative.with_suffix(""), mask / relative))


def require_apart(source: Place, output: Place) -> None:
    """Raise PictureError if the input folder is also the output."""
    if is_dir(source) and is_dir(output) and is_same(output, source):
        raise PictureError(
            f"{output} is an input, so outputs would become inputs; "
            f"choose another folder, such as {output / 'restored'}"
        )


def refuse_collisions(jobs: Sequence[Job]) -> None:
    """Raise PictureError if an output would overwrite an input, a mask or another output.

    MaskError if a picture is its own mask.
    """
    inputs = {identity(path) for job in jobs for path in (job.source, job.mask) if path} - {None}
    seen: dict[str, Job] = {}
    for job in jobs:
        if job.mask is not None and identity(job.mask) == identity(job.source) is not None:
            raise MaskError(f"{job.source} is both picture and mask; give a mask, white = hole")
        if identity(job.target) in inputs:
            raise PictureError(f"{job.target} is an input; choose another output")
        other = seen.setdefault(name_on_any_disk(job.target), job)
        if other is job:
            continue
        if str(other.target.resolve()) == str(job.target.resolve()):
            raise PictureError(
                f"{other.source} and {job.source} would both become {job.target}; "
                "restore them separately"
            )
        raise PictureError(
            f"{other.target} and {job.target} would be one file on case-insensitive disks; "
            f"rename {job.source}, or restore them separately"
        )


def refuse_new_inputs(jobs: Sequence[Job], folders: Sequence[Place], output: Place) -> None:
    """Raise PictureError if an output would be an input of the next run."""
    roots = [folder for folder in folders if not is_within(output, folder)]
    inside = {
        parent
        for parent in {job.target.parent for job in jobs}
        if any(is_within(parent / "any", root) for root in roots)
    }
    for job in jobs if inside else ():
        if job.target.parent in inside:
            raise PictureError(
                f"{job.target} would be an input of the next run; choose another output"
            )


def identity(path: Place) -> tuple[int, int] | str | None:
    """A key that is equal for all names of a file; None without a file."""
    if not is_local(path):
        return str(path)
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def name_on_any_disk(path: Place) -> str:
    """A path as disks compare it that ignore case and Unicode normalisation."""
    if not is_local(path):
        return str(path)  # stores do not ignore them
    return unicodedata.normalize("NFC", str(real(path))).casefold()
