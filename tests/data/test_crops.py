"""Crops: aligned, mirrored beyond borders, every flip and turn, blended as asked."""

import numpy as np
import pytest

from diffir.data.crops import Augment, Sample, blended, collected, turned, window
from diffir.data.draws import generator


def numbered(height: int, width: int) -> np.ndarray:
    """A picture whose pixels tell where they are."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([rows, columns, rows + columns], axis=2)


def sample(value: int = 0, lq: bool = True) -> Sample:
    gt = numbered(8, 8) // 2 * 2 + np.uint8(value)  # alike in squares of 2 × 2, as nearest
    gt[..., 2] = gt[::2, ::2, 2].repeat(2, 0).repeat(2, 1)
    return Sample(gt, gt[::2, ::2] if lq else None, "a")


def test_a_window_beyond_the_border_is_mirrored_as_imresize_does() -> None:
    pixels = numbered(4, 5)
    found = window(pixels, -2, 3, 8, 4)
    assert found[:, 0, 0].tolist() == [1, 0, 0, 1, 2, 3, 3, 2]
    assert found[0, :, 1].tolist() == [3, 4, 4, 3]
    assert np.array_equal(window(pixels, 1, 1, 2, 3), pixels[1:3, 1:4])


def test_all_eight_flips_and_turns_come_and_lq_goes_along() -> None:
    seen = set()
    for seed in range(60):
        found = turned(sample(), Augment(), generator((seed,), "t"))
        assert found.lq is not None
        seen.add(found.gt.tobytes())
        assert np.array_equal(found.gt[::2, ::2], found.lq)
    assert len(seen) == 8


@pytest.mark.parametrize(("flips", "turns", "kinds"), [(1, 0, 2), (0, 1, 4), (0, 0, 1)])
def test_only_what_is_asked_for_happens(flips: bool, turns: bool, kinds: int) -> None:
    augment = Augment(flips=flips, turns=turns)
    draws = (generator((seed,), "t") for seed in range(40))
    assert len({turned(sample(), augment, draw).gt.tobytes() for draw in draws}) == kinds


def test_blending_mixes_both_sides_of_the_pairs_alike() -> None:
    draw = generator((1,), "t")
    found = blended(sample(0), sample(100), Augment(mixup=1), draw)
    share = draw.facts["mixup"]
    assert isinstance(share, float)
    wanted = np.round(sample(0).gt * share + sample(100).gt * (1 - share))
    assert np.array_equal(found.gt, wanted)
    assert found.lq is not None
    assert np.array_equal(found.lq, found.gt[::2, ::2])


def test_a_pair_and_a_photo_are_not_blended() -> None:
    first = sample(0)
    assert blended(first, sample(9, lq=False), Augment(), generator((1,), "t")) is first


def test_pairs_and_photos_are_collected_apart_and_keep_their_places() -> None:
    samples = [sample(1), sample(2, lq=False), sample(3), sample(4, lq=False)]
    crops = collected(samples, [{"n": float(n)} for n in range(4)])
    assert crops.order == (1, 3, 0, 2)
    assert crops.photo_places == (1, 3)
    assert crops.photos is not None
    assert crops.gt is not None
    assert crops.photos[:, 0, 0, 0].tolist() == [2, 4]
    assert crops.gt[:, 0, 0, 0].tolist() == [1, 3]
    assert [fact["n"] for fact in crops.facts] == [0, 1, 2, 3]
