"""Matching: find the GT of each picture in a folder made by any program."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from diffir.data import picture_files
from diffir.data.entries import File
from diffir.data.sets import file_of
from diffir.errors import DataError
from diffir.images import Header

from .layouts import Case
from .methods import Method

SUFFIX = re.compile(r"[-_. ]?x\d+([-_. ].*)?|[-_. ].+")
"""What programs append to a name: x4, _out, _x4_swinir, -restored …"""
NAMED = 3  # names that a message lists


def matched(folder: Path, cases: Sequence[Case]) -> Method:
    """The folder as a method, with its pictures matched to the cases by name.

    A name may have a suffix if the match is unique.

    Raises:
        DataError: when the folder is missing or empty, or any picture has no partner.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give one with restored pictures")
    spelt = {composed(case.name): case.name for case in cases}
    files: dict[str, Path] = {}
    for path in picture_files([folder]):
        name = composed(path.relative_to(folder).with_suffix("").as_posix())
        name = spelt.get(name, name)
        if name in files:
            raise DataError(f"{files[name]} and {path} both match {name}; remove one")
        files[name] = path
    keys = partners([case.name for case in cases], list(files), folder)
    refuse_alone(folder, [case.name for case in cases], files, keys)
    return Method(
        name=str(folder), kind="folder", files={name: files[key] for name, key in keys.items()}
    )


def partners(names: Sequence[str], found: Sequence[str], folder: Path) -> dict[str, str]:
    """The match of each name: the same name, or else the only one that begins with it.

    Raises:
        DataError: when several begin with it.
    """
    keys = {name: name for name in set(names) & set(found)}
    waiting = [name for name in names if name not in keys]
    candidates: dict[str, list[str]] = {name: [] for name in waiting}
    for other in set(found) - set(keys.values()):
        meant = [name for name in names if name_of(other, name)]
        longest = max(meant, key=len, default=None)  # with a and a_b, a_b_out matches the second
        if longest in candidates:
            candidates[longest].append(other)
    for name, others in candidates.items():
        if len(others) > 1:
            raise DataError(
                f"{folder} has {listed(sorted(others))}, which all match {name}; keep only one"
            )
        if others:
            keys[name] = others[0]
    return keys


def name_of(other: str, name: str) -> bool:
    """Whether a file's name is a name with a suffix."""
    name = composed(name)
    return other.startswith(name) and SUFFIX.fullmatch(other[len(name) :]) is not None


def composed(name: str) -> str:
    """A name with composed accents, which macOS decomposes."""
    return unicodedata.normalize("NFC", name)


def refuse_alone(
    folder: Path, names: Sequence[str], files: Mapping[str, Path], keys: Mapping[str, str]
) -> None:
    """Raise DataError if a picture of either side has no partner."""
    lonely = [name for name in names if name not in keys]
    surplus = sorted(set(files) - set(keys.values()))
    counts = f"{folder} has {len(files)} pictures and GT {len(names)}"
    if lonely:
        raise DataError(f"{counts}, but {folder} lacks {listed(lonely)}; add or rename them")
    if surplus:
        raise DataError(f"{counts}, but GT lacks {listed(surplus)}; remove them")


def listed(names: Sequence[str]) -> str:
    """The first few names."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def refuse_unlike(folder: Method, cases: Sequence[Case], crop: bool) -> None:
    """Read the headers of all files, and refuse those that can't be compared.

    Raises:
        DataError: when sizes (unless they may be cropped), colours or bit depths differ from GT's.
        PictureError: when a header can't be read.
    """
    for case in cases:
        if case.gt is not None:
            require_alike(file_of(folder.files[case.name]), case.gt, crop)


def require_alike(restored: File, gt: File, crop: bool) -> None:
    """Refuse a picture that differs from GT in size, colours or depth."""
    ours, theirs = restored.header(), gt.header()
    if (ours.width, ours.height) != (theirs.width, theirs.height) and not crop:
        raise DataError(
            f"{restored.name} is {ours.width}×{ours.height} and {gt.name} "
            f"{theirs.width}×{theirs.height}; make their sizes equal, or --crop them to their "
            "common top-left part"
        )
    for of in (colours, depth):
        if of(ours) != of(theirs):
            raise DataError(
                f"{restored.name} {of(ours)} and {gt.name} {of(theirs)}; save both the same way"
            )


def colours(head: Header) -> str:
    """Gray or not, in words."""
    return "is gray" if head.channels == 1 else "has colours"


def depth(head: Header) -> str:
    """The bit depth, in words."""
    return f"has {head.bit_depth} bits a channel"


def require_distinct(methods: Sequence[Method]) -> None:
    """Raise DataError if two methods have the same name, which rows could not distinguish."""
    times = Counter(method.name for method in methods)
    twice = [name for name, count in times.items() if count > 1]
    if twice:
        raise DataError(f"{twice[0]} is given twice; give it once")
