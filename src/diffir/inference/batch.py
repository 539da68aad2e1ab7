"""Many files: which becomes which, and one bad file never stops the rest."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from diffir.errors import DiffIRError, MaskError, PictureError
from diffir.images import SUFFIXES, read

from .restorer import Restorer


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
    """What to restore into what.

    One file goes to `output` itself, unless that is a folder; several files and folders go into the
    folder `output`, the structure below each given folder kept.

    Args:
        sources: files and folders.
        output: a file or a folder.
        mask: one mask for all, or a folder of masks with the pictures' names (any picture suffix).
        suffix: of the written files, say `.png`; None keeps each picture's own.

    Raises:
        PictureError: when a source is missing or empty of pictures, or two would become one file.
        MaskError: when a picture has no mask in the folder.
    """
    single = len(sources) == 1 and not sources[0].is_dir() and not names_a_folder(output)
    jobs = []
    for source in sources:
        for file, relative in found_in(source):
            target = output if single else output / relative
            if suffix and not single:
                target = target.with_suffix(suffix)
            if target.suffix.lower() not in SUFFIXES:
                raise PictureError(
                    f"{target} has no suffix of a picture; name one of {', '.join(SUFFIXES)}"
                )
            jobs.append(Job(source=file, target=target, mask=mask_of(relative, mask)))
    refuse_collisions(jobs)
    return jobs


def names_a_folder(output: Path) -> bool:
    """Whether an output means a folder: it is one, or it has no suffix of a picture."""
    return output.is_dir() or output.suffix.lower() not in SUFFIXES


def found_in(source: Path) -> list[tuple[Path, Path]]:
    """The pictures of a file or folder, each with its path relative to the folder."""
    if source.is_dir():
        files = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not files:
            raise PictureError(f"{source} holds no picture; looked for {', '.join(SUFFIXES)}")
        return [(file, file.relative_to(source)) for file in files]
    if not source.exists():
        raise PictureError(f"{source} does not exist; check the path")
    return [(source, Path(source.name))]


def mask_of(relative: Path, mask: Path | None) -> Path | None:
    """The mask file of a picture."""
    if mask is None or not mask.is_dir():
        return mask
    for suffix in (relative.suffix, *SUFFIXES):
        candidate = (mask / relative).with_suffix(suffix)
        if candidate.exists():
            return candidate
    raise MaskError(f"{mask} holds no mask for {relative}; give one of equal name")


def refuse_collisions(jobs: Iterable[Job]) -> None:
    """Raise PictureError where an output would overwrite an input or another output."""
    jobs = list(jobs)
    inputs = {job.source.resolve() for job in jobs}
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


def restore_files(
    restorer: Restorer,
    jobs: Iterable[Job],
    *,
    seed: int = 0,
    overwrite: bool = False,
    max_pixels: int | None = None,
) -> Iterator[Outcome]:
    """Restore file after file, yielding what became of each; every file gets the same seed."""
    limit = {} if max_pixels is None else {"max_pixels": max_pixels}
    for job in jobs:
        if job.target.exists() and not overwrite:
            yield Outcome(job=job, skipped=True)
            continue
        try:
            mask = None if job.mask is None else read(job.mask, **limit)
            restored = restorer(read(job.source, **limit), mask=mask, seed=seed)
            restored.save(job.target)
        except DiffIRError as error:
            yield Outcome(job=job, error=str(error))
        else:
            yield Outcome(job=job)
