"""Pairs made beforehand: what lies in the folder, and that it is what training would have made."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from diffir.data import DEGRADATIONS, MILD, MotionBlur
from diffir.data.check import check
from diffir.data.degrade_set import degrade_set
from diffir.data.draws import Draws
from diffir.data.photo import to_lq
from diffir.data.pixels import to_pixels, to_tensor
from diffir.data.sets import MADE, data_sets, open_sets
from diffir.errors import DataError

ASTRONAUT = np.ascontiguousarray(data.astronaut()[:50, 200:267])  # 67 wide, 50 high
BLUR = MotionBlur(length=(4, 8))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos/inner"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        Image.fromarray(ASTRONAUT).save(folder / f"{name}.png")
    return tmp_path / "photos"


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_lq_is_what_the_degradation_makes_of_whole_photos(photos: Path, tmp_path: Path) -> None:
    target = tmp_path / "pairs"
    assert degrade_set([str(photos)], target, MILD, scale=2, copies=2, seed=3, jobs=2) == {}
    image = to_tensor(ASTRONAUT[:50, :66])
    for index in (0, 1):
        assert np.array_equal(pixels(target / f"gt/{index:06d}.png"), ASTRONAUT[:50, :66])
        for copy in (0, 1):
            lq = to_pixels(to_lq(image, MILD, 2, Draws((3, copy, 0, 1), (index,), alone=True)))
            assert np.array_equal(pixels(target / f"lq{copy}/{index:06d}.png"), lq)
    every = [pixels(target / f"lq{copy}/{index:06d}.png") for copy in (0, 1) for index in (0, 1)]
    assert len({lq.tobytes() for lq in every}) == 4


def test_no_pair_is_degraded_as_a_picture_of_validation_or_training_is(
    photos: Path, tmp_path: Path
) -> None:
    degrade_set([str(photos)], tmp_path / "pairs", MILD, scale=2, copies=2, jobs=1)
    image, others = to_tensor(ASTRONAUT[:50, :66]), [(0,), (0, 1), (0, 0, 1), (0, 1, 1)]
    for index in (0, 1):
        made = [pixels(tmp_path / f"pairs/lq{copy}/{index:06d}.png") for copy in (0, 1)]
        for seed in others:
            draws = Draws(seed, (index,), alone=True)
            other = to_pixels(to_lq(image, MILD, 2, draws))
            assert not any(np.array_equal(lq, other) for lq in made)


def test_training_reads_all_copies_as_pairs(photos: Path, tmp_path: Path) -> None:
    degrade_set([str(photos)], tmp_path / "pairs", BLUR, scale=1, copies=3, jobs=1)
    source = open_sets(data_sets([str(tmp_path / "pairs")]), scale=1)
    assert source.has_pairs()
    assert source.describe()["pairs"] == 6


def test_a_gt_of_several_lqs_is_one_picture_to_check(photos: Path, tmp_path: Path) -> None:
    Image.fromarray(ASTRONAUT[::-1]).save(photos / "inner/b.png")
    degrade_set([str(photos)], tmp_path / "pairs", BLUR, scale=1, copies=3, jobs=1)
    assert check(data_sets([str(tmp_path / "pairs" / MADE)])) == []


def test_what_is_there_is_not_made_again(photos: Path, tmp_path: Path) -> None:
    target = tmp_path / "pairs"
    degrade_set([str(photos)], target, BLUR, scale=1, jobs=1)
    made = (target / "lq0/000001.png").read_bytes()
    (target / "lq0/000001.png").unlink()
    (target / "lq0/000000.png").write_bytes(b"kept")
    degrade_set([str(photos)], target, BLUR, scale=1, jobs=1)
    assert (target / "lq0/000001.png").read_bytes() == made
    assert (target / "lq0/000000.png").read_bytes() == b"kept"
    with pytest.raises(DataError, match="was prepared with seed 0, not seed 1"):
        degrade_set([str(photos)], target, BLUR, scale=1, seed=1, jobs=1)


def test_a_folder_that_got_another_photo_is_refused(photos: Path, tmp_path: Path) -> None:
    degrade_set([str(photos)], tmp_path / "pairs", BLUR, scale=1, jobs=1)
    before = sorted((tmp_path / "pairs").rglob("*"))
    Image.fromarray(ASTRONAUT[::-1]).save(photos / "inner/aa.png")  # b would get its number
    with pytest.raises(DataError, match="was prepared with pictures"):
        degrade_set([str(photos)], tmp_path / "pairs", BLUR, scale=1, jobs=1)
    assert sorted((tmp_path / "pairs").rglob("*")) == before


def test_a_photo_that_is_bad_or_small_is_left_out_or_ends_it(photos: Path, tmp_path: Path) -> None:
    (photos / "inner/b.png").write_bytes((photos / "inner/b.png").read_bytes()[:900])
    Image.new("RGB", (9, 1)).save(photos / "inner/c.png")
    skipped = degrade_set([str(photos)], tmp_path / "pairs", MILD, scale=2, jobs=1)
    assert {Path(name).name for name in skipped} == {"b.png", "c.png"}
    assert "smaller than scale 2" in skipped[str(photos / "inner/c.png")]
    assert [path.name for path in (tmp_path / "pairs/gt").iterdir()] == ["000000.png"]
    with pytest.raises(DataError, match=r"b\.png"):
        degrade_set([str(photos)], tmp_path / "other", MILD, scale=2, on_bad="stop", jobs=1)


@pytest.mark.parametrize(
    ("name", "scale", "sentence"),
    [
        ("holes-everyday", 1, "inpainting draws them in training"),
        ("bicubic", 1, "leaves nothing to learn"),
    ],
)
def test_what_makes_no_pairs_is_refused(
    name: str, scale: int, sentence: str, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=sentence):
        degrade_set([str(photos)], tmp_path / "pairs", DEGRADATIONS[name], scale=scale)
    assert not (tmp_path / "pairs").exists()


def test_it_does_not_write_among_the_photos(photos: Path) -> None:
    with pytest.raises(DataError, match="choose a folder outside it"):
        degrade_set([str(photos)], photos / "pairs", BLUR, scale=1)


def test_threads_change_no_bit(photos: Path, tmp_path: Path) -> None:
    made = []
    for jobs in (1, 2):
        target = tmp_path / str(jobs)
        degrade_set([str(photos)], target, MILD, scale=2, copies=2, jobs=jobs)
        made.append([path.read_bytes() for path in sorted(target.glob("lq*/*"))])
    assert made[0] == made[1]
