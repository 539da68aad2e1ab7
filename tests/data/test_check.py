"""Checking a set: each thing that training would stumble over is found and named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from diffir.data import data_sets
from diffir.data.check import Finding, check, check_masks
from diffir.errors import DataError

PHOTO = np.ascontiguousarray(data.coffee()[:48, :64])


def save(path: Path, pixels: np.ndarray = PHOTO, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def kinds(findings: list[Finding]) -> dict[str, list[str]]:
    """Names of files by what was found of them."""
    found: dict[str, list[str]] = {}
    for finding in findings:
        assert "\n" not in finding.message
        found.setdefault(finding.kind, []).append(Path(finding.file).name)
    return found


def found_in(*words: object, **options: Any) -> dict[str, list[str]]:
    return kinds(check(data_sets(map(str, words)), **options))


def test_good_photos_are_left_in_peace(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "b/c.jpg", PHOTO[::-1])
    assert not found_in(tmp_path, crop=48)


def test_the_unreadable_the_small_and_the_doubles_are_named(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "again.bmp")  # the same pixels in another type of file
    save(tmp_path / "small.png", PHOTO[:47])
    broken = save(tmp_path / "broken.png", PHOTO[:, ::-1])
    broken.write_bytes(broken.read_bytes()[:-1000])
    (tmp_path / "text.png").write_text("no picture")
    assert found_in(tmp_path, crop=48) == {
        "unreadable": ["broken.png", "text.png"],
        "too small": ["small.png"],
        "duplicate": ["again.bmp"],
    }


@pytest.mark.parametrize(
    ("mode", "suffix", "kind"),
    [("L", "png", "gray"), ("RGBA", "png", "alpha"), ("CMYK", "jpg", "CMYK")],
)
def test_what_is_converted_is_a_note_and_no_problem(
    tmp_path: Path, mode: str, suffix: str, kind: str
) -> None:
    save(tmp_path / f"a.{suffix}", PHOTO, mode)
    (finding,) = check(data_sets([str(tmp_path)]))
    assert finding.kind == kind
    assert not finding.is_problem


def test_sixteen_bits_are_noted_too(tmp_path: Path) -> None:
    Image.fromarray(PHOTO[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png")
    assert set(found_in(tmp_path)) == {"gray", "16 bit"}


def test_pairs_alone_or_of_other_sizes_are_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save(tmp_path / f"gt/{name}.png", np.roll(PHOTO, ord(name), axis=1))
        save(tmp_path / f"lq/{name}.png", PHOTO[::2, ::2])
    save(tmp_path / "lq/a.png", PHOTO[::2, :30])
    (tmp_path / "lq/b.png").rename(tmp_path / "lq/z.png")
    found = found_in(tmp_path, scale=2)
    assert found == {"unpaired": ["b.png", "z.png"], "size mismatch": ["a.png"]}
    assert "size mismatch" in found_in(tmp_path, scale=1)


def test_a_shard_cut_short_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar")
    assert found_in(tmp_path / "a.tar") == {"cut short": ["a.tar"]}


def test_masks_that_are_empty_or_mostly_hole_are_named(tmp_path: Path) -> None:
    for name, share in (("empty", 0), ("good", 20), ("bright", 30)):
        mask = np.zeros((40, 40), np.uint8)
        mask[:share] = 255
        save(tmp_path / f"{name}.png", mask, "L")
    (tmp_path / "text.png").write_text("no picture")
    assert kinds(check_masks([tmp_path])) == {
        "too bright mask": ["bright.png"],
        "empty mask": ["empty.png"],
        "unreadable": ["text.png"],
    }


def test_a_missing_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        found_in(tmp_path / "nowhere")
    with pytest.raises(DataError, match="does not exist"):
        check_masks([tmp_path / "nowhere"])
