"""Training crops: aligned, repeatable, and every draw from its own seed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from diffir.data import Pair, PairCrops, bicubic_pair, picture_files
from diffir.errors import DataError


def numbered_pair(height: int, width: int, scale: int) -> Pair:
    """A pair in which every GT pixel tells the LQ pixel that it lies under."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    lq = np.stack([rows, columns, np.zeros_like(rows)], axis=2)
    return Pair(lq, lq.repeat(scale, axis=0).repeat(scale, axis=1))


def test_crops_are_aligned_whatever_the_flip_and_turn() -> None:
    crops = PairCrops([numbered_pair(20, 30, 4), numbered_pair(9, 9, 4)], scale=4, lq_size=8)
    draw = np.random.default_rng(0)
    seen = set()
    for _ in range(50):
        crop = crops.crop(draw)
        assert crop.lq.shape == (8, 8, 3)
        assert np.array_equal(crop.gt[::4, ::4], crop.lq)
        assert np.array_equal(crop.gt[3::4, 3::4], crop.lq)
        corner = tuple(np.sign(crop.lq[-1, -1, :2].astype(int) - crop.lq[0, 0, :2]))
        swapped = crop.lq[0, 0, 0] != crop.lq[0, -1, 0]
        seen.add((*corner, swapped))
    assert len(seen) == 8  # all flips and turns


def test_the_same_seed_gives_the_same_batch_and_another_another() -> None:
    crops = PairCrops([numbered_pair(40, 40, 2)], scale=2, lq_size=8)
    first, again, other = (crops.batch(4, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert torch.equal(first.gt, again.gt)
    assert not torch.equal(first.gt, other.gt)
    assert first.lq.shape == (4, 3, 8, 8)
    assert first.gt.shape == (4, 3, 16, 16)


def test_an_item_does_not_depend_on_the_size_of_its_batch() -> None:
    crops = PairCrops([numbered_pair(40, 40, 2)], scale=2, lq_size=8)
    assert torch.equal(crops.batch(2, (5,)).lq, crops.batch(6, (5,)).lq[:2])


def test_large_pictures_are_drawn_more_often() -> None:
    small, large = numbered_pair(10, 10, 1), numbered_pair(30, 30, 1)
    small.lq[:] = 255
    crops = PairCrops([small, large], scale=1, lq_size=8)
    draw = np.random.default_rng(0)
    share = np.mean([crops.crop(draw).lq.min() == 255 for _ in range(500)])
    assert share == pytest.approx(0.1, abs=0.05)


def test_pictures_smaller_than_the_crop_are_left_out() -> None:
    crops = PairCrops([numbered_pair(7, 90, 2), numbered_pair(8, 8, 2)], scale=2, lq_size=8)
    assert len(crops.pairs) == 1
    with pytest.raises(DataError, match="no training picture is as large as the crop of 16 pixels"):
        PairCrops([numbered_pair(7, 90, 2)], scale=2, lq_size=8)


def test_gt_is_cut_to_a_multiple_of_the_scale() -> None:
    pair = bicubic_pair(np.full((23, 18, 3), 90, dtype=np.uint8), scale=4)
    assert pair.gt.shape == (20, 16, 3)
    assert pair.lq.shape == (5, 4, 3)
    assert (pair.lq == 90).all()


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
