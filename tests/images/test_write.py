"""Writing: a whole file or none, and one sentence for what cannot be written."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest

from diffir.errors import PictureError
from diffir.images import SUFFIXES, Picture, encode, read, write

RGBA = np.random.default_rng(0).integers(0, 256, (12, 17, 4), dtype=np.uint8)
PICTURE = Picture.from_array(RGBA[..., :3])


def message(picture, path, **options):
    """The sentence that a user gets."""
    with pytest.raises(PictureError) as caught:
        write(picture, path, **options)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".bmp"])
def test_transparency_is_never_lost_silently(tmp_path, suffix):
    assert ".png" in message(Picture.from_array(RGBA), tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_alpha_that_hides_nothing_is_no_obstacle_for_jpeg(tmp_path):
    opaque = RGBA.copy()
    opaque[..., 3] = 255
    write(Picture.from_array(opaque), tmp_path / "a.jpg")
    assert read(tmp_path / "a.jpg").alpha is None


@pytest.mark.parametrize("name", ["a.gif", "a", "a.png.part"])
def test_an_unknown_suffix_lists_the_known_ones(tmp_path, name):
    text = message(PICTURE, tmp_path / name)
    assert all(suffix in text for suffix in (".png", ".jpg", ".webp", ".tif", ".bmp"))


@pytest.mark.parametrize("quality", [0, 101])
def test_an_impossible_quality_is_refused(tmp_path, quality):
    assert "1 to 100" in message(PICTURE, tmp_path / "a.jpg", quality=quality)


def test_a_file_is_overwritten_unless_that_is_forbidden(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    assert "exists" in message(PICTURE, path, overwrite=False)
    assert path.read_bytes() == b"old"
    write(PICTURE, path)
    np.testing.assert_array_equal(read(path).to_array(), RGBA[..., :3])


def test_folders_are_made_on_the_way(tmp_path):
    write(PICTURE, tmp_path / "new" / "folder" / "a.png")
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["a.png"]


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be written" in message(PICTURE, tmp_path / "file" / "a.png")


def test_a_goal_that_is_a_folder_leaves_nothing_behind(tmp_path):
    (tmp_path / "a.png").mkdir()
    assert "cannot be written" in message(PICTURE, tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))  # bytes; the picture needs more
    try:
        text = message(PICTURE, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot be written" in text
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, error):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def interrupted(temporary, _goal):
        assert temporary.stat().st_size > 100  # the whole picture lies beside its goal
        raise error

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises((error, PictureError)):
        write(PICTURE, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("suffix", "side"), [("webp", 16_383), ("jpg", 65_500)])
def test_a_size_that_a_format_cannot_hold_is_one_sentence_with_its_limit(tmp_path, suffix, side):
    wide = Picture(pixels=np.zeros((1, side + 1, 3), np.float32))
    assert f"at most {side} pixels a side" in message(wide, tmp_path / f"a.{suffix}")
    assert list(tmp_path.iterdir()) == []
    write(Picture(pixels=np.zeros((1, side, 3), np.float32)), tmp_path / f"a.{suffix}")


def test_what_an_encoder_raises_is_one_sentence(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise RuntimeError("no")

    monkeypatch.setattr("imagecodecs.png_encode", refuse)
    assert "cannot be encoded (no)" in message(PICTURE, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_name_that_is_too_long_is_one_sentence(tmp_path, overwrite):
    path = tmp_path / f"{'x' * 300}.png"
    assert "cannot be written" in message(PICTURE, path, overwrite=overwrite)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_says_who_may_read_the_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write(PICTURE, tmp_path / "a.png")
    finally:
        os.umask(before)
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_encoding_gives_the_bytes_that_writing_stores(tmp_path, suffix):
    write(PICTURE, tmp_path / f"a{suffix}", quality=80)
    assert encode(PICTURE, suffix, quality=80) == (tmp_path / f"a{suffix}").read_bytes()
    with pytest.raises(PictureError, match="1 to 100"):
        encode(PICTURE, suffix, quality=0)
