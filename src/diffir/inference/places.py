"""Locations of pictures: local files, or objects behind a URL of fsspec (`s3://…`).

A local place is a `Path`, a remote one a `UPath`, which has the same methods; this module covers
the differences. Keys and addresses of stores are configured in fsspec, by environment and files.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import EIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from diffir.errors import DiffIRError, PictureError
from diffir.files import digest_of

if TYPE_CHECKING:
    from typing_extensions import TypeIs
    from upath import UPath

Place: TypeAlias = "Path | UPath"

logger = logging.getLogger(__name__)

LOCAL = ("file://", "local://")
READ_ONLY = {"http", "https", "zip", "tar", "libarchive", "github", "data", "reference"}
"""Protocols that are read-only, or do not write objects atomically."""


def parse_place(text: str) -> Place:
    """The place that a path or URL names; raises PictureError for an unusable URL."""
    if "://" not in text:
        return Path(text)
    for protocol in LOCAL:
        if text.startswith(protocol):
            return Path(text.removeprefix(protocol))
    try:
        from upath import UPath

        found = UPath(text)
        _ = found.fs  # imports its library
    except ImportError as error:
        wanted = error.name or str(error)
        raise PictureError(
            f"{text} needs a library that is not installed ({wanted}); install `diffir[cloud]`, "
            "and fsspec's library for the store, such as s3fs for s3://"
        ) from error
    except Exception as error:  # each store raises its own
        raise PictureError(f"{text} can't be reached ({error}); check the URL") from error
    return found


def is_local(place: Place) -> TypeIs[Path]:
    """Whether it is a file or folder of this machine or of a mounted disk."""
    return isinstance(place, Path)


@contextmanager
def reached(place: UPath) -> Iterator[None]:
    """Turn whatever a store raises into an OSError with a message, like those of disks."""
    try:
        yield
    except (DiffIRError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.strerror and error.filename:
            raise
        number = getattr(error, "errno", None) or EIO
        what = str(error) or type(error).__name__
        raise OSError(number, what.splitlines()[0].rstrip("."), str(place)) from error


def require_writable_store(place: Place) -> None:
    """Raise PictureError for a remote place that cannot be written to atomically."""
    protocol = "" if is_local(place) else place.protocol
    if protocol in READ_ONLY:
        raise PictureError(f"{place} is read-only; choose a folder or an object store")


def content(place: Place) -> bytes:
    """All bytes of a file; raises OSError."""
    if is_local(place):
        return place.read_bytes()
    with reached(place):
        found: bytes = place.fs.cat_file(place.path)
        return found


def contents(places: Sequence[Place]) -> list[bytes]:
    """All bytes of several files, fetched together from a store; raises OSError."""
    remote = [place for place in places if not is_local(place)]
    if not remote:
        return [content(place) for place in places]
    with reached(remote[0]):
        found = remote[0].fs.cat([place.path for place in remote])
        return [found[place.path] for place in remote]


def digest(place: Place) -> str:
    """The sha256 of a file's content; raises OSError."""
    return digest_of(place) if is_local(place) else hashlib.sha256(content(place)).hexdigest()


def put(data: bytes, place: UPath) -> None:
    """Write an object atomically; raises OSError."""
    with reached(place):
        place.fs.pipe_file(place.path, data)


def is_pipe(place: Place) -> bool:
    """Whether it is neither a regular file nor missing, so that it may be readable only once."""
    return is_local(place) and place.exists() and not place.is_file()


def exists(place: Place) -> bool:
    """Whether a file or folder exists now, bypassing caches; raises OSError."""
    if is_local(place):
        return place.exists()
    with reached(place):
        place.fs.invalidate_cache(place.parent.path)
        return place.exists()


def is_dir(place: Place) -> bool:
    """Whether a folder exists; in stores, whether objects are below it; raises OSError."""
    if is_local(place):
        return place.is_dir()
    with reached(place):
        return place.is_dir()


def files_below(folder: Place) -> list[Place]:
    """Every file in a folder and its subfolders, sorted; raises OSError.

    Includes broken links, which fail when they are opened. Linked folders are not followed, and
    folders that cannot be listed are skipped with a warning.
    """
    if is_local(folder):
        walked = os.walk(folder, onerror=warn_unlisted)
        paths = (Path(parent, name) for parent, _, names in walked for name in names)
        return sorted(path for path in paths if may_be_file(path))
    with reached(folder):  # one request per thousand objects; rglob would make one for each
        folder.fs.invalidate_cache()
        return [
            folder / below_path(name, folder.path) for name in sorted(folder.fs.find(folder.path))
        ]


def warn_unlisted(error: OSError) -> None:
    """Warn of a folder that cannot be listed."""
    logger.warning(
        "%s can't be listed (%s), so its files are left out; change its permissions",
        error.filename,
        error.strerror,
    )


def may_be_file(path: Path) -> bool:
    """Whether a path is a regular file, or cannot be accessed."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def below(place: Place, folder: Place) -> str:
    """The path of a place relative to a folder, with slashes."""
    if is_local(place):
        return place.relative_to(str(folder)).as_posix()
    return below_path(place.path, folder.path)  # type: ignore[union-attr]


def below_path(path: str, folder: str) -> str:
    """As `below`, for paths in a store."""
    return PurePosixPath("/", path).relative_to(PurePosixPath("/", folder)).as_posix()


def is_within(place: Place, folder: Place) -> bool:
    """Whether a place is below a folder, after resolving links."""
    if is_local(place) and is_local(folder):
        return real(folder) in real(place).parents
    return type(place) is type(folder) and str(place).startswith(f"{str(folder).rstrip('/')}/")


def real(path: Path) -> Path:
    """As `resolve`, which raises RuntimeError for a link to itself before Python 3.13."""
    return Path(os.path.realpath(path))


def is_same(place: Place, other: Place) -> bool:
    """Whether two existing places are the same."""
    if is_local(place) and is_local(other):
        return place.samefile(other)
    return str(place).rstrip("/") == str(other).rstrip("/")
