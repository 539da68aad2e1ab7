"""The manifest of a folder of outputs: what was made of what, by which settings.

`manifest.jsonl` holds a line a file. The line of a file is written just before the file appears, so
that no kill leaves an output that the manifest does not know; a line without its file does no harm.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from diffir._version import __version__
from diffir.errors import PictureError
from diffir.files import digest_of, lock, sweep

from .jobs import Job

NAME = "manifest.jsonl"
BEGINNING = b'{"diffir":"'
"""Of each of our lines, which tells a cut one from another program's."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What makes a restored file what it is, besides the picture and its mask."""

    model: str
    """As it was named; what counts is the weights."""
    weights: str
    """The sha256 of the file of weights."""
    seed: int = 0
    precision: str = "float32"
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
    made: Mapping[str, Line]
    """The lines of the target by its sha256: content that it once was made to have."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest that was read, and is open for more lines."""

    folder: Path
    settings: Settings
    lines: list[Line] = field(default_factory=list)
    descriptor: int | None = None
    """Of the open file; None where nothing shall be written."""

    @cached_property
    def made(self) -> dict[str, dict[str, Line]]:
        """The lines by target and its sha256, the last one of each."""
        made: dict[str, dict[str, Line]] = {}
        for line in self.lines:
            if line.target_sha256 is not None:
                made.setdefault(line.target, {})[line.target_sha256] = line
        return made

    def known(self, job: Job) -> Known:
        """What there is to know for a job."""
        made = self.made.get(self.target_of(job), {})
        return Known(settings=self.settings, made=made)

    def target_of(self, job: Job) -> str:
        """The name of a job's target in the manifest."""
        return job.target.relative_to(self.folder).as_posix()

    def add(self, job: Job, **facts: str | float | None) -> None:
        """Append the line of a job, at once on the disk; raises OSError, and leaves no half."""
        if self.descriptor is None:
            return
        line = Line.model_validate(
            {
                **asdict(self.settings),
                "source": job.relative.as_posix(),
                "target": self.target_of(job),
                "format": format_of(job),
                **facts,
            }
        )
        append(self.descriptor, line.model_dump_json(exclude_none=True).encode() + b"\n")


@contextmanager
def open_manifest(folder: Path, settings: Settings, jobs: Iterable[Job]) -> Iterator[Manifest]:
    """The manifest of an output folder, made if need be; what killed runs left unfinished goes.

    Raises:
        PictureError: when another run writes there, or the file is another program's.
        OSError: when it can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    descriptor = os.open(
        path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666
    )
    try:
        if lock(descriptor) is False:
            raise PictureError(
                f"another run restores into {folder}; wait for its end, or name another folder"
            )
        content = path.read_bytes()
        lines = lines_of(content, path)
        os.ftruncate(descriptor, content.rfind(b"\n") + 1)
        for place in {job.target.parent for job in jobs} | {folder}:
            sweep(place)
        yield Manifest(folder=folder, settings=settings, lines=lines, descriptor=descriptor)
    finally:
        os.close(descriptor)


def read_manifest(folder: Path, settings: Settings) -> Manifest:
    """The manifest of an output folder, to look at; raises PictureError as `open_manifest`."""
    path = folder / NAME
    content = path.read_bytes() if path.exists() else b""
    return Manifest(folder=folder, settings=settings, lines=lines_of(content, path))


def known_to(manifest: Manifest | None, job: Job) -> Known | None:
    """What a manifest knows for a job, None where none is kept."""
    return None if manifest is None else manifest.known(job)


def lines_of(content: bytes, path: Path) -> list[Line]:
    """The lines of a manifest; a last one that a kill cut is ignored.

    Raises:
        PictureError: when it is another program's; `path` is what it blames.
    """
    *whole, cut = content.split(b"\n")
    try:
        if cut[: len(BEGINNING)] != BEGINNING[: len(cut)]:
            raise ValueError(f"line {len(whole) + 1} begins otherwise")
        return [Line.model_validate_json(line) for line in whole]
    except ValueError as error:
        reason = "it is no line of ours" if isinstance(error, ValidationError) else str(error)
        raise PictureError(
            f"{path} is no manifest of diffir's ({reason}); move it, or name another folder"
        ) from error


def append(descriptor: int, data: bytes) -> None:
    """Write at the end of a file in one piece, and flush it to the disk; raises OSError."""
    end = os.fstat(descriptor).st_size
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(28, "No space left on device")
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def format_of(job: Job) -> str:
    """The format of a job's target."""
    return job.target.suffix.lower().removeprefix(".")


def content_of(path: Path) -> str:
    """The sha256 of a file's content; raises PictureError."""
    try:
        return digest_of(path)
    except OSError as error:
        raise PictureError(
            f"{path} cannot be read ({error.strerror}); check the path and its rights"
        ) from error


def is_replaceable(job: Job, known: Known | None) -> bool:
    """Whether nothing is there, or nothing but what we made and nobody changed since."""
    if not job.target.exists():
        return True
    return known is not None and content_of(job.target) in known.made


def reason_to_skip(job: Job, known: Known | None) -> str | None:
    """Why a job has nothing to do, None where it has; raises PictureError.

    Without a manifest, what is there is left alone. With one, so is what we did not make, and what
    we made from the same content by the same settings.
    """
    if not job.target.is_file():
        return None
    if known is None:
        return "it is there"
    line = known.made.get(content_of(job.target))
    if line is None:
        return "it is there, not made here or changed since"
    if not is_by_settings(line, known.settings, job):
        return None
    mask = None if job.mask is None or not job.mask.exists() else content_of(job.mask)
    if (line.source_sha256, line.mask_sha256) != (content_of(job.source), mask):
        return None
    return "it was made before from the same"


def is_by_settings(line: Line, settings: Settings, job: Job) -> bool:
    """Whether a line tells of these settings; the model's name does not count, its weights do."""
    wanted = (*list(asdict(settings).items())[1:], ("format", format_of(job)))
    return all(getattr(line, name) == value for name, value in wanted)
