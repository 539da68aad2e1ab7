"""The manifest of a folder of outputs: what was made of what, by which settings.

`manifest.jsonl` holds a line a file. The line of a file is written just before the file appears, so
that no kill leaves an output that the manifest does not know; a line without its file does no harm.
Processes that share the work have files of their own in `manifest/`, and so have runs into a store.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from diffir._version import __version__
from diffir.errors import PictureError
from diffir.files import lock, sweep

from .jobs import Job
from .lines import Parts, Together, append
from .places import Place, below, contents, digest, exists, files_below, is_dir, is_local

if TYPE_CHECKING:
    from collections.abc import Callable

    from upath import UPath

NAME = "manifest.jsonl"
SHARES = "manifest"
"""The folder of the files of processes and runs that do not write into `manifest.jsonl`."""
BEGINNING = b'{"diffir":"'
"""Of each of our lines, which tells a cut one from another program's."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What makes a restored file what it is, besides the picture and its mask."""

    model: str
    """As it was named; what counts is the weights."""
    weights: str
    """The sha256 of the file of weights; see `weights_digest` of mixed ones."""
    seed: int = 0
    precision: str = "float32"
    ensemble: bool = False
    detail: float = 0.0
    diffir: str = __version__


class Line(BaseModel):
    """What the manifest says of a file: how it was made, or the error."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    diffir: str
    """The version; the first key, see `BEGINNING`."""
    source: str
    """The path below the given folder."""
    target: str
    """The path below the manifest's folder."""
    error: str | None = None
    source_sha256: str | None = None
    mask_sha256: str | None = None
    target_sha256: str | None = None
    model: str
    weights: str
    seed: int
    precision: str
    ensemble: bool = False
    detail: float = 0.0
    format: str
    """The suffix of the target, without its dot."""
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    """From reading to the encoded file."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the manifest knows for one job."""

    settings: Settings
    made: Mapping[str, Sequence[Line]]
    """The lines of the target by its sha256: content that it once was made to have."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest that was read, and is open for more lines."""

    folder: Place
    settings: Settings
    told: Mapping[str, Sequence[bytes]]
    """The lines by target, as they are in the files: a million of them shall fit into memory."""
    write: Callable[[bytes], None] | None = None
    """What makes a line safe, from any thread; None where nothing shall be written."""

    def known(self, job: Job) -> Known:
        """What there is to know for a job; each line is true, so their order does not count."""
        made: dict[str, list[Line]] = {}
        for raw in self.told.get(self.target_of(job), ()):
            line = Line.model_validate_json(raw)
            if line.target_sha256 is not None:
                made.setdefault(line.target_sha256, []).append(line)
        return Known(settings=self.settings, made=made)

    def target_of(self, job: Job) -> str:
        """The name of a job's target in the manifest."""
        return as_text(below(job.target, self.folder))

    def add(self, job: Job, **facts: str | float | None) -> None:
        """Write the line of a job, at once where it is safe; raises OSError, and leaves no half."""
        if self.write is None:
            return
        line = Line.model_validate(
            {
                **asdict(self.settings),
                "source": as_text(job.relative.as_posix()),
                "target": self.target_of(job),
                "format": format_of(job),
                **{key: as_text(v) if isinstance(v, str) else v for key, v in facts.items()},
            }
        )
        self.write(line.model_dump_json(exclude_none=True).encode() + b"\n")


@contextmanager
def open_manifest(
    folder: Place, settings: Settings, jobs: Iterable[Job], rank: int = 0
) -> Iterator[Manifest]:
    """The manifest of an output folder, made if need be; what killed runs left unfinished goes.

    Args:
        folder: of the outputs.
        settings: of this run.
        jobs: whose targets' folders are swept.
        rank: among processes that share the work; each reads what all wrote, and writes its own.

    Raises:
        PictureError: when another run writes there, or the file is another program's. Stores tell
            nobody of another run.
        OSError: when it can't be written.
    """
    opened = opened_file(folder, rank) if is_local(folder) else opened_parts(folder)
    with opened as write:
        places = {job.target.parent for job in jobs if is_local(job.target)} | {folder}
        for place in places:
            if is_local(place):
                sweep(place)
        yield Manifest(folder=folder, settings=settings, told=read_lines(folder), write=write)


@contextmanager
def opened_file(folder: Path, rank: int) -> Iterator[Callable[[bytes], None]]:
    """What adds lines to the file of a process; a last line that a kill cut goes."""
    path = folder / NAME if rank == 0 else folder / SHARES / f"{rank}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(
        path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666
    )
    try:
        if lock(descriptor) is False:
            raise PictureError(
                f"another run restores into {folder}; wait for its end, or name another folder"
            )
        content = path.read_bytes()
        for _ in lines_of(content, path):  # raises where it is not ours to cut
            pass
        os.ftruncate(descriptor, content.rfind(b"\n") + 1)
        yield Together(partial(append, descriptor))
    finally:
        os.close(descriptor)


@contextmanager
def opened_parts(folder: UPath) -> Iterator[Callable[[bytes], None]]:
    """What puts lines into objects, of names that no other process has."""
    parts = Parts(folder / SHARES)
    try:
        yield Together(parts)
    finally:
        parts.close()


def read_manifest(folder: Place, settings: Settings) -> Manifest:
    """The manifest of an output folder, to look at; raises PictureError as `open_manifest`."""
    return Manifest(folder=folder, settings=settings, told=read_lines(folder))


def read_lines(folder: Place) -> dict[str, list[bytes]]:
    """All lines of all files of a manifest by target; PictureError where a file is not ours."""
    shares = folder / SHARES
    there = files_below(shares) if exists(shares) else []
    files = [folder / NAME] if exists(folder / NAME) else []
    files += [file for file in there if file.suffix == ".jsonl"]
    told: dict[str, list[bytes]] = {}
    for file, content in zip(files, contents(files), strict=True):
        for target, line in lines_of(content, file):
            told.setdefault(target, []).append(line)
    return told


def known_to(manifest: Manifest | None, job: Job) -> Known | None:
    """What a manifest knows for a job, None where none is kept."""
    return None if manifest is None else manifest.known(job)


def lines_of(content: bytes, path: Place) -> Iterator[tuple[str, bytes]]:
    """The lines of a manifest, each after its target; a last one that a kill cut is ignored.

    Raises:
        PictureError: when it is another program's; `path` is what it blames.
    """
    *whole, cut = content.split(b"\n")
    try:
        if cut[: len(BEGINNING)] != BEGINNING[: len(cut)]:
            raise ValueError(f"line {len(whole) + 1} begins otherwise")
        for line in whole:
            yield Line.model_validate_json(line).target, line
    except ValueError as error:
        reason = "it is no line of ours" if isinstance(error, ValidationError) else str(error)
        raise PictureError(
            f"{path} is no manifest of diffir's ({reason}); move it, or name another folder"
        ) from error


def as_text(name: str) -> str:
    r"""A name, or words with one, that JSON can hold: bytes that are no UTF-8 become \xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def format_of(job: Job) -> str:
    """The format of a job's target."""
    return job.target.suffix.lower().removeprefix(".")


def content_of(path: Place) -> str:
    """The sha256 of a file's content; raises PictureError."""
    try:
        return digest(path)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Place, error: OSError) -> PictureError:
    """What to say of a file that can't be read."""
    return PictureError(
        f"{path} cannot be read ({error.strerror or error}); check the path and its rights"
    )


def is_replaceable(job: Job, known: Known | None) -> bool:
    """Whether nothing is there, or nothing but what we made and nobody changed since."""
    if not exists(job.target):
        return True
    return known is not None and content_of(job.target) in known.made


def reason_to_skip(job: Job, known: Known | None) -> str | None:
    """Why a job has nothing to do, None where it has; raises PictureError.

    Without a manifest, what is there is left alone. With one, so is what we did not make, and what
    we made from the same content by the same settings.
    """
    if not exists(job.target) or is_dir(job.target):
        return None
    if known is None:
        return "exists"
    lines = known.made.get(content_of(job.target))
    if lines is None:
        return "exists, but was not made here or has changed since"
    lines = [line for line in lines if is_by_settings(line, known.settings, job)]
    if not lines:
        return None
    mask = None if job.mask is None or not exists(job.mask) else content_of(job.mask)
    made_of = (content_of(job.source), mask)
    if made_of not in [(line.source_sha256, line.mask_sha256) for line in lines]:
        return None
    return "already made from the same input"


def is_by_settings(line: Line, settings: Settings, job: Job) -> bool:
    """Whether a line tells of these settings; the model's name does not count, its weights do."""
    wanted = (*list(asdict(settings).items())[1:], ("format", format_of(job)))
    return all(getattr(line, name) == value for name, value in wanted)
