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


def test_links_to_folders_are_followed_and_each_folder_is_searched_once(tmp_path: Path) -> None:
    for name in ("set/real/1.png", "elsewhere/deep/2.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    links = {"set/a": "set/real", "set/b": "elsewhere", "set/c": "elsewhere/deep", "set/z": "set"}
    links |= {"elsewhere/back": "set"}
    for name, target in links.items():
        (tmp_path / name).symlink_to(tmp_path / target)
    found = [
        path.relative_to(tmp_path / "set").as_posix() for path in picture_files([tmp_path / "set"])
    ]
    assert found == ["b/deep/2.png", "real/1.png"]


def test_empty_and_missing_folders_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture"):
        picture_files([tmp_path])
    with pytest.raises(DataError, match="does not exist"):
        picture_files([tmp_path / "nowhere"])
