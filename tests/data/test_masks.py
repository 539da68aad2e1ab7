"""Masks: LaMa's numbers, bounds on the hole, and the same seed gives the same bits."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from diffir.data import masks
from diffir.data.masks import (
    MASKS,
    Blobs,
    Borders,
    Boxes,
    Kind,
    MaskSettings,
    Scratches,
    Strokes,
    Text,
    coverage,
    drawn,
    mask_set,
    paint_line,
    random_mask,
    write_masks,
)
from diffir.errors import DataError


def replace(settings: Any, **changes: Any) -> Any:
    return type(settings)(**(settings.model_dump() | changes))


KINDS = [Strokes(), Boxes(), Blobs(), Borders(), Text(), Scratches()]
TEST_SETS = [name for name in MASKS if name.endswith(("256", "512"))]


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("name", "strokes", "boxes"),
    [
        # strokes: count, width, length; boxes: odds, count, size, margin
        ("training", ((1, 5), 100, 200), (1, (1, 4), (30, 150), 10)),
        ("narrow-256", ((4, 50), 10, 40), None),
        ("medium-256", ((4, 5), 50, 100), (0.3, (1, 5), (10, 50), 0)),
        ("wide-256", ((1, 5), 100, 200), (0.3, (1, 3), (30, 150), 10)),
        ("narrow-512", ((4, 70), 20, 100), None),
        ("medium-512", ((4, 10), 100, 200), (0.3, (1, 5), (30, 150), 0)),
        ("wide-512", ((1, 5), 250, 450), (0.3, (1, 4), (30, 300), 10)),
    ],
)
def test_the_settings_are_the_published_numbers(
    name: str, strokes: tuple, boxes: tuple | None
) -> None:
    kinds = {type(kind): (kind, odds) for kind, odds in MASKS[name].kinds}
    stroke, stroke_odds = kinds[Strokes]
    assert (stroke.count, stroke.max_width, stroke.max_length) == strokes
    assert (stroke.segments, stroke_odds) == ((1, 5), 1)
    if boxes is None:
        assert list(kinds) == [Strokes]
    else:
        box, odds = kinds[Boxes]
        assert (odds, box.count, box.size, box.margin) == boxes
    assert MASKS[name].max_share == (1 if name == "training" else 0.5)


def test_stroke_segments_have_the_published_numbers_angles_and_lengths() -> None:
    bounds, angles, counts = (10**6, 10**6), {False: set(), True: set()}, set()
    for index in range(300):
        mirrored = index % 2 == 0
        points = Strokes(max_length=40).points(mirrored, bounds, rng(index))
        counts.add(len(points) - 1)
        for step in np.diff(points, axis=0):
            length = np.linalg.norm(step)
            assert 10 - 1e-6 <= length <= 49 + 1e-6
            assert round(length, 6).is_integer()
            angles[mirrored].add(round(np.arctan2(step[0], step[1]) % (2 * np.pi), 3))
    assert counts == {1, 2, 3, 4, 5}
    assert angles[False] == {0.01, 1.01, 2.01, 3.01}
    assert angles[True] == {round(2 * np.pi - angle, 3) for angle in angles[False]}


def test_every_segment_of_a_stroke_has_a_width_of_its_own_and_one_more_may_come_than_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = []
    monkeypatch.setattr(masks, "paint_line", lambda _, ends, width: lines.append((ends, width)))
    strokes = []
    for seed in range(60):
        lines.clear()
        Strokes(count=(1, 2)).mask(400, 400, rng(seed))
        starts = [np.array_equal(a[0][1], b[0][0]) for a, b in pairwise(lines)]
        strokes.append(1 + starts.count(False))
        assert all(len(ends) == 2 and 7 <= width <= 105 for ends, width in lines)
        if len(lines) > 3:
            assert len({width for _, width in lines}) > 1
    assert set(strokes) == {1, 2, 3}


def test_strokes_are_as_wide_as_those_that_opencv_draws_for_lama(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    covered = {5: 7, 6: 7, 7: 9, 8: 9, 9: 11, 10: 11, 30: 31, 100: 101}
    for thickness, rows in covered.items():
        line = cv2.line(np.zeros((200, 200), np.uint8), (60, 100), (140, 100), 1, thickness)
        assert line[:, 100].sum() == rows
    widths = []
    monkeypatch.setattr(masks, "paint_line", lambda _, ends, width: widths.append(width))
    drawn_from = {5: {7}, 6: {7}, 30: {7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31}}
    for widest, wanted in drawn_from.items():
        widths.clear()
        for seed in range(30):
            Strokes(max_width=widest - 4).mask(64, 64, rng(seed))
        assert set(widths) == wanted


def test_strokes_stay_in_the_picture() -> None:
    for seed in range(40):
        points = Strokes().points(True, (90, 70), rng(seed))
        assert (points >= 0).all()
        assert (points <= (90, 70)).all()


@pytest.mark.parametrize("width", [1, 5, 20, 101])
def test_lines_are_as_wide_as_said_with_round_ends(width: int) -> None:
    ends = np.array([[100.0, 120.0], [260.0, 240.0]])  # 200 pixels long
    mask = drawn(400, 400, lambda canvas: paint_line(canvas, ends, width))
    wanted = width * 200 + np.pi * width**2 / 4
    assert mask.sum() == pytest.approx(wanted, rel=0.05, abs=200)  # edge pixels are in or out


def test_joints_are_round() -> None:
    corners = np.array([[60.0, 60.0], [200.0, 60.0], [90.0, 150.0]])  # a sharp turn
    mask = drawn(300, 300, lambda canvas: paint_line(canvas, corners, 41))
    rows, columns = np.mgrid[:300, :300]
    for x, y in corners:
        assert mask[np.hypot(columns - x, rows - y) <= 19].all()
    assert not mask[:, 222:].any()  # and no mitre beyond the round


def test_boxes_have_the_sizes_and_the_margin_that_are_said() -> None:
    one, heights, widths = replace(Boxes(), count=(1, 1)), set(), set()
    for seed in range(400):
        rows, columns = one.mask(256, 256, rng(seed)).nonzero()
        heights.add(int(np.ptp(rows)) + 1)
        widths.add(int(np.ptp(columns)) + 1)
        assert min(rows.min(), columns.min()) >= 10
        assert max(rows.max(), columns.max()) <= 245
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert (min(heights | widths), max(heights | widths)) == (30, 150)


def test_boxes_shrink_to_what_a_small_picture_has_room_for() -> None:
    mask = Boxes().mask(64, 40, rng(0))
    assert 0 < mask.sum() <= 44 * 20
    assert mask[:10].sum() == mask[-10:].sum() == mask[:, :10].sum() == mask[:, -10:].sum() == 0


def test_kinds_come_by_their_odds() -> None:
    class Marked(Boxes):
        def mask(self, height: int, width: int, draw: np.random.Generator) -> np.ndarray:
            return np.full((height, width), 1, np.uint8) * np.eye(height, width, dtype=np.uint8)

    settings = MaskSettings(kinds=((Boxes(), 1), (Marked(), 0.3)))
    marked = [
        mask.sum() == 200 and mask.trace() == 200
        for mask in mask_set(600, 200, 200, settings, (1,))
    ]
    assert np.mean(marked) == pytest.approx(0.3 / 1.3, abs=0.06)  # three standard deviations


@pytest.mark.parametrize("name", TEST_SETS)
def test_test_sets_have_holes_of_at_most_half_the_picture(name: str) -> None:
    side = int(name[-3:])
    found = coverage(mask_set(40, side, side, MASKS[name], (0,)))
    assert 0 < found.min <= found.mean <= found.max <= 0.5
    assert 0.1 < found.mean < 0.4


def test_too_large_masks_are_drawn_anew_and_not_for_ever() -> None:
    large = MaskSettings(kinds=((Boxes(size=(50, 100), margin=0), 1),))
    assert coverage(mask_set(40, 100, 100, large, (0,))).max > 0.5
    assert coverage(mask_set(40, 100, 100, replace(large, max_share=0.5), (0,))).max <= 0.5
    with pytest.raises(DataError, match="at most 1% hole"):
        random_mask(100, 100, replace(large, max_share=0.01), rng(0))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
@pytest.mark.parametrize("shape", [(96, 144), (64, 33)])
def test_every_kind_makes_binary_masks_of_the_shape_by_seed(
    kind: Kind, shape: tuple[int, int]
) -> None:
    settings = MaskSettings(kinds=((kind, 1),))
    first, again, other = (random_mask(*shape, settings, rng(seed)) for seed in (1, 1, 2))
    assert first.shape == shape
    assert first.dtype == np.uint8
    assert set(np.unique(first)) <= {0, 1}
    assert first.any()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_blobs_are_few_and_solid() -> None:
    for seed in range(5):
        mask = Blobs(count=(1, 1)).mask(200, 200, rng(seed))
        changes = np.abs(np.diff(mask.astype(int), axis=1)).sum(axis=1)
        assert changes.mean() < 4  # most rows enter and leave the blob once


def test_outpainting_leaves_one_known_rectangle() -> None:
    for seed in range(20):
        known = Borders().mask(100, 80, rng(seed)) == 0
        rows, columns = known.any(axis=1), known.any(axis=0)
        assert np.array_equal(known, rows[:, None] & columns)
        assert 50 <= rows.sum() <= 100
        assert 40 <= columns.sum() <= 80
        assert not known.all()


def test_text_and_scratches_are_thin() -> None:
    for kind in (Text(), Scratches()):
        for seed in range(5):
            mask = kind.mask(256, 256, rng(seed))
            assert 0 < mask.mean() < 0.25
            opened = mask[:-16, :-16] & mask[16:, 16:] & mask[:-16, 16:] & mask[16:, :-16]
            assert opened.mean() < 0.02


def test_a_mask_of_a_set_does_not_depend_on_how_many_there_are() -> None:
    few, many = ([*mask_set(count, 64, 64, MASKS["everyday"], (3,))] for count in (2, 6))
    other = [*mask_set(2, 64, 64, MASKS["everyday"], (4,))]
    assert all(np.array_equal(a, b) for a, b in zip(few, many, strict=False))
    assert not any(np.array_equal(a, b) for a, b in zip(few, other, strict=True))
    assert not any(np.array_equal(a, b) for a, b in pairwise(many))


def test_written_masks_are_white_where_the_hole_is(tmp_path: Path) -> None:
    masks = [*mask_set(3, 40, 60, MASKS["training"], (0,))]
    files = write_masks(masks, tmp_path / "masks")
    assert [file.name for file in files] == ["00000.png", "00001.png", "00002.png"]
    for file, mask in zip(files, masks, strict=True):
        with Image.open(file) as picture:
            assert picture.mode == "L"
            assert np.array_equal(np.array(picture), mask * 255)


def test_coverage_counts_every_mask_once() -> None:
    masks = [np.zeros((20, 10), np.uint8) for _ in range(4)]
    for mask, rows in zip(masks, (1, 5, 5, 20), strict=True):
        mask[:rows] = 1
    found = coverage(masks)
    assert (found.mean, found.min, found.max) == pytest.approx((0.3875, 0.05, 1))
    assert found.histogram == (1, 0, 2, 0, 0, 0, 0, 0, 0, 1)
