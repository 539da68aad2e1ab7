"""Which file becomes which, decided before anything is written."""

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
"""Of pictures that lie in people's folders, and that nobody shall believe restored."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to restore."""

    source: Place
    target: Place
    relative: Path
    """The source below the given folder; its name where it was given by itself."""
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
    """What to restore into what; nothing is written, and pictures are not opened.

    One file goes to `output` itself, unless that is a folder; several files and folders go into the
    folder `output`, the structure below each given folder kept. Where output or masks lie inside a
    given folder, they are not taken for pictures to restore.

    Args:
        sources: files and folders, here or behind URLs (`places.place`).
        output: a file or a folder.
        mask: one mask for all, or a folder of masks with the pictures' names (any picture suffix).
        suffix: of the files written into a folder, say `.png`; None keeps each picture's own.
        include: patterns of `fnmatch` for the path below the given folder, `*` crossing slashes;
            what fits none is left out. Empty: all.
        exclude: what fits one of these is left out.

    Raises:
        PictureError: when a source is missing or empty of pictures, no picture fits the patterns,
            the output can't be there, an output is an input or would become one, or two pictures
            would become one file.
        MaskError: when the mask, or the folder of masks, is missing, or is the picture itself.
        OSError: when a store does not answer.
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
        raise PictureError("no picture fits --include and --exclude; `*` alone fits every one")
    refuse_collisions(jobs)
    refuse_new_inputs(jobs, [source for source in sources if is_dir(source)], output)
    return jobs


def is_wanted(relative: Path, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a path fits one of the patterns to include, if any, and none of those to exclude."""
    name = relative.as_posix()
    if include and not any(fnmatchcase(name, pattern) for pattern in include):
        return False
    return not any(fnmatchcase(name, pattern) for pattern in exclude)


def is_picture_name(path: Place) -> bool:
    """Whether the name ends as those of pictures that can be written."""
    return path.suffix.lower() in SUFFIXES


def means_folder(sources: Sequence[Place], output: Place) -> bool:
    """Whether the output is a folder to put pictures in; raises PictureError where it can't be."""
    if is_dir(output):
        return True
    if len(sources) == 1 and not is_dir(sources[0]):
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


def require_suffix(suffix: str | None, output: Place, into_folder: bool) -> None:
    """Raise PictureError for a suffix that is none of a picture, or that the output contradicts."""
    if suffix is not None and suffix not in SUFFIXES:
        raise PictureError(f"format {suffix[1:]!r} found; wanted one of {', '.join(SUFFIXES)}")
    if suffix is not None and not into_folder and output.suffix.lower() != suffix:
        raise PictureError(
            f"{output} and format {suffix[1:]!r} found; formats are for folders, so leave it out"
        )


def require_writable(folder: Place) -> None:
    """Raise PictureError, before hours are spent, where the folder can't be made or written to."""
    if not is_local(folder):
        require_writable_store(folder)
        return
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise PictureError(f"{nearest} is a file; name another output folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PictureError(f"{nearest} can't be written to; change its rights or name another one")


def pictures_of(source: Place, left_out: Iterable[Place]) -> list[tuple[Place, Path]]:
    """The pictures of a file or folder, each with its path relative to the folder.

    What lies in a folder under paths of `left_out` that are inside it stays out.
    """
    if not exists(source):
        raise PictureError(f"{source} does not exist; check the path")
    if not is_dir(source):
        return [(source, Path(source.name))]
    inside = [path for path in left_out if is_within(path, source)]
    there = [
        file
        for file in files_below(source)
        if not any(is_at_or_within(file, path) for path in inside)
    ]
    files = [file for file in there if is_picture_name(file)]
    tell_left_out(source, there)
    if not files:
        raise PictureError(f"{source} holds no picture; looked for {', '.join(SUFFIXES)}")
    return [(file, Path(below(file, source))) for file in files]


def tell_left_out(source: Place, files: Iterable[Place]) -> None:
    """Warn of pictures of formats that are not read, which a folder's run passes over."""
    suffixes = [file.suffix.lower() for file in files if file.suffix.lower() in NOT_READ]
    if suffixes:
        logger.warning(
            "%s: %d files left out, for %s is not read; convert them first",
            source,
            len(suffixes),
            ", ".join(sorted(set(suffixes))),
        )


def is_at_or_within(file: Place, path: Place) -> bool:
    """Whether a file is a path, or below it, under whatever names."""
    if is_local(file) and is_local(path):
        return real(file).is_relative_to(real(path))
    return is_same(file, path) or is_within(file, path)


def pictures_below(folder: Place) -> list[Place]:
    """Every file in a folder and its folders that is named as a picture, sorted."""
    return [path for path in files_below(folder) if is_picture_name(path)]


def masks_by_name(folder: Place) -> dict[Path, Place]:
    """The masks in a folder by their relative path, with its suffix and without."""
    masks = {Path(below(file, folder)): file for file in pictures_below(folder)}
    return masks | {relative.with_suffix(""): file for relative, file in masks.items()}


def mask_of(relative: Path, mask: Place | None, masks: dict[Path, Place]) -> Place | None:
    """The mask of a picture, or where in the folder `mask` it was expected."""
    if mask is None or not is_dir(mask):
        return mask
    return masks.get(relative, masks.get(relative.with_suffix(""), mask / relative))


def require_apart(source: Place, output: Place) -> None:
    """Raise PictureError where the pictures' folder is the output, too."""
    if is_dir(source) and is_dir(output) and is_same(output, source):
        raise PictureError(
            f"{output} is an input, so outputs would become inputs; "
            f"name another folder, say {output / 'restored'}"
        )


def refuse_collisions(jobs: Sequence[Job]) -> None:
    """Raise PictureError where an output would overwrite an input, a mask or another output.

    MaskError where a picture would be its own mask.
    """
    inputs = {identity(path) for job in jobs for path in (job.source, job.mask) if path} - {None}
    seen: dict[str, Job] = {}
    for job in jobs:
        if job.mask is not None and identity(job.mask) == identity(job.source) is not None:
            raise MaskError(f"{job.source} is picture and mask at once; give a mask, white = hole")
        if identity(job.target) in inputs:
            raise PictureError(f"{job.target} is an input; choose another output")
        other = seen.setdefault(name_on_any_disk(job.target), job)
        if other is job:
            continue
        if str(other.target.resolve()) == str(job.target.resolve()):
            raise PictureError(
                f"{other.source} and {job.source} would both become {job.target}; "
                f"restore them apart"
            )
        raise PictureError(
            f"{other.target} and {job.target} would be one file where the case of letters does "
            f"not count; rename {job.source}, or restore them apart"
        )


def refuse_new_inputs(jobs: Sequence[Job], folders: Sequence[Place], output: Place) -> None:
    """Raise PictureError where an output would be an input of the next run."""
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
    """What is the same for all names of one file, in any case of letters; None without a file."""
    if not is_local(path):
        return str(path)
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def name_on_any_disk(path: Place) -> str:
    """A path as disks compare it that ignore the case of letters and how accents are spelt."""
    if not is_local(path):
        return str(path)  # no store does so
    return unicodedata.normalize("NFC", str(real(path))).casefold()
