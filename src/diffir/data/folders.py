"""Folders of pictures: finding the files."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from diffir.errors import DataError

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def files_below(folder: Path) -> Iterator[Path]:
    """All files of a folder and its subfolders, each folder once, linked ones after the others."""
    waiting, seen = [folder], set[str]()
    for start in waiting:  # which grows
        for place, inner, names in os.walk(start):
            if (real := os.path.realpath(place)) in seen:
                inner.clear()
                continue
            seen.add(real)
            inner.sort()
            waiting += (path for name in inner if (path := Path(place, name)).is_symlink())
            yield from (Path(place, name) for name in names)


def pictures_below(folder: Path) -> list[Path]:
    """The pictures in a folder and its subfolders, linked ones too, sorted; may be empty."""
    return sorted(path for path in files_below(folder) if path.suffix.lower() in PICTURE_SUFFIXES)


def picture_files(sources: Iterable[Path]) -> list[Path]:
    """All pictures in the given files and folders (searched recursively), sorted in each source.

    Raises:
        DataError: when a source does not exist or contains no picture.
    """
    files: list[Path] = []
    for source in sources:
        if source.is_dir():
            found = pictures_below(source)
        elif source.is_file():
            found = [source]
        else:
            raise DataError(f"{source} does not exist; give a folder of pictures")
        if not found:
            raise DataError(
                f"{source} holds no picture; wanted {', '.join(sorted(PICTURE_SUFFIXES))}"
            )
        files += found
    return files
