"""Finding pictures."""

from pathlib import Path

import pytest

from diffir.data import picture_files
from diffir.errors import DataError


def test_pictures_are_found_recursively_and_in_order(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "a/ü 1.png", "a/notes.txt", "c.webp"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    names = [file.name for file in picture_files([tmp_path])]
    assert names == ["ü 1.png", "2.JPG", "c.webp"]


def test_empty_and_missing_folders_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture"):
        picture_files([tmp_path])
    with pytest.raises(DataError, match="does not exist"):
        picture_files([tmp_path / "nowhere"])
