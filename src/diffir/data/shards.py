"""Shards: many pictures in few large files, in WebDataset's layout, read by random access.

A shard is a tar file whose members with the same key are one sample: `key.gt.png`, and `key.lq.png`
if GT has an LQ; in shards made by others, `key.jpg` is GT, and members that are not pictures are
ignored. Random access, by the offset of a member, makes a run reproducible to the bit whatever the
number of its workers; WebDataset itself reads sequentially.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from diffir.errors import DataError
from diffir.files import whole_file

from .entries import Entry, File
from .folders import PICTURE_SUFFIXES

Members = dict[str, File]
"""The members of a sample by their role, gt or lq."""
ROLES = ("gt", "lq")


def members_of(shard: Path) -> tuple[dict[str, Members], str | None]:
    """The samples of a shard by key, and a sentence if it is truncated or not a tar file."""
    samples: dict[str, Members] = {}
    size, end = shard.stat().st_size, 0
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                end = member.offset_data + member.size
                if end > size:
                    raise tarfile.ReadError(f"{member.name} ends beyond the file")
                key, role = key_and_role(member.name)
                if member.isfile() and role:
                    name = f"{shard}: {member.name}"
                    file = File(name, shard, member.offset_data, member.size)
                    samples.setdefault(key, {})[role] = file
        if size < -(-end // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE + tarfile.BLOCKSIZE:
            # tarfile reads a truncation between members, or in a header, as the end
            raise tarfile.ReadError("it has no end marker")
    except (tarfile.TarError, EOFError, OSError) as error:
        return samples, (
            f"{shard} is cut short or not an uncompressed tar file ({error}); get another copy"
        )
    return samples, None


def key_and_role(member: str) -> tuple[str, str | None]:
    """The key of a member's name, up to the first dot, and whether it is a GT or an LQ."""
    folder, _, name = member.rpartition("/")
    stem, *parts = name.split(".")
    key = f"{folder}/{stem}" if folder else stem
    if not parts or f".{parts[-1].lower()}" not in PICTURE_SUFFIXES:
        return key, None
    role = parts[0].lower() if len(parts) > 1 else "gt"
    return key, role if role in ROLES else None


def key_of(index: int, entry: Entry) -> str:
    """A unique key that keeps the order of the set and contains the picture's name."""
    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in entry.gt.label.stem)
    return f"{index:08d}-{stem}"


def write_shards(
    entries: Sequence[Entry], folder: Path, *, shard_bytes: int
) -> Iterator[tuple[Path, int]]:
    """Write the unchanged files of entries into shards of about `shard_bytes`.

    Yields:
        Each shard and its number of pictures. Shards are written atomically.

    Raises:
        DataError: when the folder already has shards.
        PictureError: when a picture can't be read.
    """
    if any(folder.glob("*.tar")):
        raise DataError(f"{folder} already has shards; choose another folder")
    for number, part in enumerate(parts_of(entries, shard_bytes)):
        path = folder / f"shard-{number:06d}.tar"
        with whole_file(path) as file, tarfile.open(fileobj=file, mode="w") as tar:
            for index, entry in part:
                add_entry(tar, key_of(index, entry), entry)
        yield path, len(part)


def add_entry(tar: tarfile.TarFile, key: str, entry: Entry) -> None:
    """Add a picture and its LQ, without time and owner, so that equal sets make equal shards."""
    for role, file in (("gt", entry.gt), ("lq", entry.lq)):
        if file is None:
            continue
        data = file.read()
        member = tarfile.TarInfo(f"{key}.{role}{file.label.suffix.lower()}")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))


def parts_of(entries: Iterable[Entry], shard_bytes: int) -> Iterator[list[tuple[int, Entry]]]:
    """Numbered entries in parts of about `shard_bytes`, at least one entry each."""
    part: list[tuple[int, Entry]] = []
    held = 0
    for index, entry in enumerate(entries):
        size = sum(file.size for file in (entry.gt, entry.lq) if file)
        if part and held + size > shard_bytes:
            yield part
            part, held = [], 0
        part.append((index, entry))
        held += size
    if part:
        yield part
