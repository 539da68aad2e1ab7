"""The manifest of an output folder: which output was made from which input and settings.

`manifest.jsonl` holds one line per file, written just before the file appears, so that no kill
leaves an output that the manifest does not list; a line without its file does no harm. Processes
that share the work write their own files in `manifest/`, and so do runs into an object store.
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
from .places import Place, below, contents, digest, exists, files_below, is_dir, is_local, is_pipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from upath import UPath

NAME = "manifest.jsonl"
SHARES = "manifest"
"""The folder for processes and runs that do not write into `manifest.jsonl`."""
BEGINNING = b'{"diffir":"'
"""The beginning of each line, which distinguishes truncated lines from another program's."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What determines a restored file, besides the picture and its mask."""

    model: str
    """The name as given; only the weights are compared."""
    weights: str
    """The sha256 of the weights file, see `weights_digest`."""
    seed: int = 0
    precision: str = "float32"
    ensemble: bool = False
    detail: float = 0.0
    diffir: str = __version__


class Line(BaseModel):
    """A line of the manifest: how a file was made, or the error."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    diffir: str
    """The version; must be the first key, see `BEGINNING`."""
    source: str
    """The path relative to the input folder."""
    target: str
    """The path relative to the manifest's folder."""
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
    """The manifest's entries for one job."""

    settings: Settings
    made: Mapping[str, Sequence[Line]]
    """The lines of the target by its sha256, one entry per content it was given."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest that was read, and is open for appending."""

    folder: Place
    settings: Settings
    lines: Mapping[str, Sequence[bytes]]
    """The lines by target, unparsed: a million of them must fit into memory."""
    write: Callable[[bytes], None] | None = None
    """Writes a line safely, from any thread; None if read-only."""

    def known(self, job: Job) -> Known:
        """The entries for a job; each line is valid by itself, so their order does not matter."""
        made: dict[str, list[Line]] = {}
        for raw in self.lines.get(self.target_of(job), ()):
            line = Line.model_validate_json(raw)
            if line.target_sha256 is not None:
                made.setdefault(line.target_sha256, []).append(line)
        return Known(settings=self.settings, made=made)

    def target_of(self, job: Job) -> str:
        """The name of a job's target in the manifest."""
        return as_text(below(job.target, self.folder))

    def add(self, job: Job, **facts: str | float | None) -> None:
        """Write the line of a job, durably and completely or not at all; raises OSError."""
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
    """Open or create the manifest of an output folder, removing killed runs' unfinished files.

    Args:
        folder: of the outputs.
        settings: of this run.
        jobs: their targets' folders are swept.
        rank: among processes that share the work; each reads all files and writes its own.

    Raises:
        PictureError: when another run writes there (not detected in object stores), or the file is
            another program's.
        OSError: when it cannot be written.
    """
    opened = opened_file(folder, rank) if is_local(folder) else opened_parts(folder)
    with opened as write:
        places = {job.target.parent for job in jobs if is_local(job.target)} | {folder}
        for place in places:
            if is_local(place):
                sweep(place)
        yield Manifest(folder=folder, settings=settings, lines=read_lines(folder), write=write)


@contextmanager
def opened_file(folder: Path, rank: int) -> Iterator[Callable[[bytes], None]]:
    """A function that appends lines to a process's file; a truncated last line is removed."""
    path = folder / NAME if rank == 0 else folder / SHARES / f"{rank}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(
        path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666
    )
    try:
        if lock(descriptor) is False:
            raise PictureError(
                f"another run is restoring into {folder}; wait for its end, or name another folder"
            )
        content = path.read_bytes()
        for _ in lines_of(content, path):  # raises if the file is not ours
            pass
        os.ftruncate(descriptor, content.rfind(b"\n") + 1)
        yield Together(partial(append, descriptor))
    finally:
        os.close(descriptor)


@contextmanager
def opened_parts(folder: UPath) -> Iterator[Callable[[bytes], None]]:
    """A function that writes lines into objects with unique names."""
    parts = Parts(folder / SHARES)
    try:
        yield Together(parts)
    finally:
        parts.close()


def read_manifest(folder: Place, settings: Settings) -> Manifest:
    """The manifest of an output folder, read-only; raises PictureError as `open_manifest`."""
    return Manifest(folder=folder, settings=settings, lines=read_lines(folder))


def read_lines(folder: Place) -> dict[str, list[bytes]]:
    """All lines of all files of a manifest by target; raises PictureError if one is not ours."""
    shares = folder / SHARES
    there = files_below(shares) if exists(shares) else []
    files = [folder / NAME] if exists(folder / NAME) else []
    files += [file for file in there if file.suffix == ".jsonl"]
    found: dict[str, list[bytes]] = {}
    for file, content in zip(files, contents(files), strict=True):
        for target, line in lines_of(content, file):
            found.setdefault(target, []).append(line)
    return found


def known_to(manifest: Manifest | None, job: Job) -> Known | None:
    """The manifest's entries for a job, None without a manifest."""
    return None if manifest is None else manifest.known(job)


def lines_of(content: bytes, path: Place) -> Iterator[tuple[str, bytes]]:
    """(target, line) for the lines of a manifest; a truncated last line is ignored.

    Raises:
        PictureError: when it is another program's; it names `path`.
    """
    *whole, cut = content.split(b"\n")
    try:
        if cut[: len(BEGINNING)] != BEGINNING[: len(cut)]:
            raise ValueError(f"line {len(whole) + 1} begins differently")
        for line in whole:
            yield Line.model_validate_json(line).target, line
    except ValueError as error:
        reason = "invalid line" if isinstance(error, ValidationError) else str(error)
        raise PictureError(
            f"{path} is not a manifest of diffir ({reason}); move it, or name another folder"
        ) from error


def as_text(name: str) -> str:
    r"""Text that JSON can hold: bytes that are not UTF-8 become \xNN."""
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
    """The error for a file that cannot be read."""
    return PictureError(
        f"{path} cannot be read ({error.strerror or error}); check path and permissions"
    )


def is_replaceable(job: Job, known: Known | None) -> bool:
    """Whether the target is missing, or made by us and unchanged since."""
    if not exists(job.target):
        return True
    return known is not None and content_of(job.target) in known.made


def reason_to_skip(job: Job, known: Known | None) -> str | None:
    """Why a job can be skipped, None if it cannot; raises PictureError.

    Without a manifest, existing targets are skipped. With one, targets are skipped that we did not
    make, or made from the same content with the same settings. Pipes can be read only once, so what
    comes from one is always restored.
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
    if any(path is not None and is_pipe(path) for path in (job.source, job.mask)):
        return None
    mask = None if job.mask is None or not exists(job.mask) else content_of(job.mask)
    made_of = (content_of(job.source), mask)
    if made_of not in [(line.source_sha256, line.mask_sha256) for line in lines]:
        return None
    return "already made from the same input"


def is_by_settings(line: Line, settings: Settings, job: Job) -> bool:
    """Whether a line has these settings; the model's weights are compared, not its name."""
    wanted = (*list(asdict(settings).items())[1:], ("format", format_of(job)))
    return all(getattr(line, name) == value for name, value in wanted)
