"""Cutting: copies and crops that lose nothing."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffir.data.cutting import Copy, Cutting, scales_of
from diffir.errors import DataError

REDUCED = Cutting(scales=(Fraction(1), Fraction(3, 4), Fraction(1, 3)), edge=400)


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.data())
def test_crops_cover_every_pixel_and_have_one_size(
    width: int, height: int, size: int, data: st.DataObject
) -> None:
    cutting = Cutting(size=size, step=data.draw(st.integers(1, size)))
    covered = np.zeros((height, width), bool)
    boxes = cutting.boxes(width, height)
    for left, top, right, bottom in boxes:
        assert (right - left, bottom - top) == (min(size, width), min(size, height))
        covered[top:bottom, left:right] = True
    assert covered.all()
    assert len(set(boxes)) == len(boxes)


def test_the_last_crop_ends_at_the_border() -> None:
    lefts = [box[0] for box in Cutting(size=480, step=240).boxes(1300, 480)]
    assert lefts == [0, 240, 480, 720, 820]  # 1300 - 480 = 820


def test_copies_have_the_sizes_of_the_published_preparation() -> None:
    assert REDUCED.copies(2040, 1356) == [
        Copy("x1", 2040, 1356),
        Copy("x0.75", 1530, 1017),
        Copy("x0.333", 680, 452),
        Copy("edge400", 601, 400),
    ]


def test_no_copy_is_smaller_than_the_edge_there_twice_or_enlarged() -> None:
    assert [copy.folder for copy in REDUCED.copies(900, 600)] == ["x1", "x0.75", "edge400"]
    assert [copy.folder for copy in REDUCED.copies(1200, 1600)] == ["x1", "x0.75", "x0.333"]
    assert [copy.folder for copy in REDUCED.copies(300, 600)] == ["x1"]


def test_a_picture_that_is_not_resized_needs_no_folder_for_its_size() -> None:
    assert Cutting(size=8, step=4).copies(30, 20) == [Copy("", 30, 20)]


def test_scales_are_read_exactly() -> None:
    assert scales_of(["1", " 0.75", "1/3"]) == (Fraction(1), Fraction(3, 4), Fraction(1, 3))


@pytest.mark.parametrize("words", [["a"], ["1/0"], [""]])
def test_scales_that_are_none_are_a_sentence(words: list[str]) -> None:
    with pytest.raises(DataError, match="wanted numbers between commas"):
        scales_of(words)


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ({"size": 8}, "size 8 and step 0 found"),
        ({"size": 8, "step": 9}, "size 8 and step 9 found"),
        ({"step": 4}, "size 0 and step 4 found"),
        ({"scales": (Fraction(3, 2),)}, "scales 3/2 and edge 0 found"),
        ({"scales": (Fraction(0),)}, "scales 0 and edge 0 found"),
        ({"edge": -1}, "edge -1 found"),
        ({"scales": ()}, "scales none found"),
        ({"scales": (Fraction(1, 2), Fraction(2, 4))}, "wanted different ones"),
    ],
)
def test_numbers_that_contradict_each_other_are_a_sentence(
    numbers: dict[str, object], sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        Cutting(**numbers)  # type: ignore[arg-type]
