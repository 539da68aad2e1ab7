"""Folders of pictures: finding the files."""

from collections.abc import Iterable
from pathlib import Path

from diffir.errors import DataError

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def pictures_below(folder: Path) -> list[Path]:
    """The pictures of a folder and its folders, sorted; maybe none."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)


def picture_files(sources: Iterable[Path]) -> list[Path]:
    """All pictures in the given files and folders (searched recursively), sorted in each source.

    Raises:
        DataError: when a source does not exist or holds no picture.
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
                f"{source} holds no picture; wanted are {', '.join(sorted(PICTURE_SUFFIXES))}"
            )
        files += found
    return files
