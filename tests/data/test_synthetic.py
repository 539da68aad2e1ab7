"""Dead leaves: the statistics of natural pictures, smooth edges, same seed same bits."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from diffir.data.synthetic import (
    NOISES,
    DeadLeaves,
    Leaves,
    coloured,
    dead_leaves,
    noise,
    outlines,
    painted,
    radii,
    random_palette,
    reduced,
    relief,
    textures,
    unit_outlines,
)

PLAIN: dict[str, Any] = {
    "textured": 0, "shading": 0, "lighting": 0, "relief": 0, "deep": 0, "soft": 0,
}  # fmt: skip
"""Leaves of one colour each, nothing blurred."""
COLOURS = np.array([[200, 30, 30], [20, 160, 60], [10, 40, 220]], np.uint8)


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def picture(
    *seed: int, side: int = 48, palette: NDArray[np.uint8] | None = None, **settings: Any
) -> NDArray[np.uint8]:
    return dead_leaves(side, side, DeadLeaves(**settings), rng(*seed), palette)


def test_the_same_generator_draws_the_same_bits() -> None:
    for seed in range(8):  # some with a background, some soft
        np.testing.assert_array_equal(picture(seed), picture(seed))


def test_another_seed_draws_another_picture() -> None:
    assert len({picture(seed).tobytes() for seed in range(8)}) == 8


def test_a_picture_does_not_depend_on_those_before_it() -> None:
    first = picture(3)
    textures.cache_clear()
    for seed in range(3):
        picture(seed, noise_slope=(1, 2))
    np.testing.assert_array_equal(picture(3), first)


def test_the_global_generator_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()
    picture(0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 1), (31, 57), (200, 90)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    for seed in range(3):
        drawn = dead_leaves(*size, DeadLeaves(deep=seed % 2), rng(seed))
        assert drawn.shape == (*size, 3)
        assert drawn.dtype == np.uint8
        assert drawn.flags.c_contiguous


def test_no_pixel_is_no_picture() -> None:
    with pytest.raises(ValueError, match=r"0 × 5 pixels found; at least 1 × 1 is wanted"):
        dead_leaves(0, 5, DeadLeaves(), rng(0))


@pytest.mark.parametrize(
    "palette",
    [np.zeros((0, 3), np.uint8), np.zeros((4, 4), np.uint8), np.zeros((4, 3)), COLOURS[0]],
)
def test_a_palette_of_another_kind_is_refused(palette: Any) -> None:
    with pytest.raises(ValueError, match=r"palette .* found; wanted \(N, 3\) uint8"):
        picture(0, palette=palette)


def test_pictures_use_the_whole_range_of_brightness() -> None:
    drawn = np.stack([picture(seed) for seed in range(60)])
    assert 80 < drawn.mean() < 150
    assert (np.percentile(drawn, [2, 98]) - [15, 240] <= [15, 15]).all()
    assert np.percentile(drawn, 98) > 225


def test_power_falls_with_frequency_as_in_photos() -> None:
    side = 128
    window = np.hanning(side)[:, None] * np.hanning(side)
    gray = [picture(seed, side=side).mean(axis=2) for seed in range(40)]
    power = np.mean([np.abs(np.fft.fft2((g - g.mean()) * window)) ** 2 for g in gray], axis=0)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)) * side
    used = (frequency > 3) & (frequency < 40)
    slope, _ = np.polyfit(np.log(frequency[used]), np.log(power[used]), 1)
    assert -3.1 < slope < -1.7  # photos: -2 to -2.8


def test_sizes_follow_the_power_law() -> None:
    settings = DeadLeaves(exponent=3, smallest=(2, 2), largest=64, cover=(2, 2))
    # So large a picture that what reaches in from outside hardly counts.
    found = np.concatenate([radii(3000, 3000, settings, rng(seed)) for seed in range(3)])
    assert found.min() >= 2
    assert found.max() <= 64
    for radius in (4, 8, 16):  # of r^-3 between 2 and 64
        wanted = (radius**-2.0 - 64**-2.0) / (2**-2.0 - 64**-2.0)
        assert (found > radius).mean() == pytest.approx(wanted, rel=0.1)  # counts, and the border


def test_leaves_cover_a_picture_as_often_as_asked() -> None:
    settings = DeadLeaves(smallest=(4, 4), largest=40, cover=(3, 3), densest=10)
    found = radii(4000, 4000, settings, rng(0))
    assert (np.pi * found**2).sum() / 4080**2 == pytest.approx(3, rel=0.1)


def test_the_number_of_leaves_is_bounded() -> None:
    busy = DeadLeaves(smallest=(0.01, 0.01), densest=0.05)
    assert len(radii(100, 100, busy, rng(0))) == 500
    assert len(radii(1, 1, busy, rng(0))) == 1


def test_a_smallest_leaf_larger_than_the_largest_is_the_largest() -> None:
    np.testing.assert_allclose(radii(50, 50, DeadLeaves(largest=0.5), rng(0)), 0.5)


def test_the_last_leaf_lies_on_top() -> None:
    square = [2.0, 2, 9, 2, 9, 9, 2, 9]
    labels = painted(12, 16, [square, [x + 4 for x in square]])
    assert labels.shape == (12, 16)
    assert [labels[0, 0], labels[3, 3], labels[8, 8], labels[11, 11]] == [0, 1, 2, 2]


@pytest.mark.parametrize("shape", ["blob", "ellipse", "polygon", "rectangle", "line"])
def test_outlines_lie_around_their_centre_as_large_as_their_radius(shape: str) -> None:
    leaves = Leaves(np.full(200, 50.0), np.tile([300.0, 500.0], (200, 1)))
    settings = DeadLeaves(shapes={shape: 1}, line_stretch=(20, 20), stretch=(1, 1))
    found = [np.array(corners).reshape(-1, 2) for corners in outlines(leaves, settings, rng(0))]
    assert len(found) == 199  # all but the ground
    middles = np.array([corners.mean(axis=0) for corners in found])
    np.testing.assert_allclose(middles.mean(axis=0), [300, 500], atol=10)  # 199 random shapes
    areas = [abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2 for x, y in (c.T for c in found)]
    assert 0.4 < np.median(areas) / 100**2 < 1.3


def test_blobs_are_wavy_and_ellipses_are_not() -> None:
    blob, ellipse = (unit_outlines(s, 1, DeadLeaves(), rng(0))[0] for s in ("blob", "ellipse"))
    assert np.linalg.norm(ellipse, axis=1).std() < 1e-6  # exact but for rounding
    assert np.linalg.norm(blob, axis=1).std() > 0.05


def test_only_colours_of_the_palette_are_used() -> None:
    drawn = picture(0, palette=COLOURS, finer=1, **PLAIN)
    found = np.unique(drawn.reshape(-1, 3), axis=0)
    assert {tuple(c) for c in found.tolist()} == {tuple(c) for c in COLOURS.tolist()}


def test_pictures_without_a_palette_differ_in_their_colours() -> None:
    means = np.array([random_palette(rng(seed)).mean(axis=0) for seed in range(50)])
    assert random_palette(rng(0)).shape == (256, 3)
    assert (means.std(axis=0) > 15).all()
    light, colour = means.mean(axis=1).std(), (means[:, 0] - means[:, 2]).std()
    assert light > 0.8 * colour  # most of the contrast of photos is in brightness


def test_edges_are_smooth_on_the_finer_grid() -> None:
    black_and_white = np.array([[0] * 3, [255] * 3], np.uint8)

    def between(finer: int) -> int:
        drawn = picture(1, palette=black_and_white, finer=finer, **PLAIN)
        return int(((drawn > 0) & (drawn < 255)).sum())

    assert between(1) == 0
    assert between(2) > 100


def test_a_pixel_is_the_mean_of_its_positions() -> None:
    fine = np.arange(48.0).reshape(2, 4, 6)
    wanted = fine.reshape(2, 2, 2, 3, 2).mean(axis=(2, 4))
    np.testing.assert_array_equal(reduced(fine, 2), wanted)  # exact: small whole numbers


def power(field: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.abs(np.fft.fft2(field)) ** 2


@pytest.mark.parametrize("slope", [1, 2.5])
def test_noise_has_the_slope_asked_for(slope: float) -> None:
    field = noise(slope, 1, rng(0))
    spectrum, side = power(field), len(field)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)) * side
    used = (frequency > 2) & (frequency < side / 2)
    found, _ = np.polyfit(np.log(frequency[used]), np.log(spectrum[used]), 1)
    assert found == pytest.approx(-slope, abs=0.1)  # one drawing of noise
    assert field.mean() == pytest.approx(0, abs=1e-6)
    assert field.std() == pytest.approx(1)


def test_the_grain_of_noise_is_longer_than_wide() -> None:
    field = noise(2, 6, rng(0))
    changes = [np.diff(field, axis=axis).std() for axis in (0, 1)]
    assert max(changes) > 2 * min(changes)


def test_the_bank_holds_noise_and_stripes() -> None:
    bank = textures((0.5, 3), (1, 8), (5, 40))
    np.testing.assert_allclose(bank.std(axis=(1, 2)), 1, atol=1e-4)  # float32
    concentration = np.array([(p := power(field)).max() / p.sum() for field in bank])
    # Straight stripes are one line of the spectrum and its mirror image.
    assert (concentration[NOISES:] > 0.3).any()
    assert np.abs(bank[NOISES:]).max() < np.abs(bank[:NOISES]).max()


def test_textures_and_shading_stay_on_their_leaf() -> None:
    labels = np.zeros((32, 32), np.int32)
    labels[:, 16:] = 1
    leaves = Leaves(np.full(2, 20.0), np.array([[8.0, 16], [24, 16]]))
    gray = np.full((1, 3), 128, np.uint8)
    flat = coloured(labels, leaves, DeadLeaves(**PLAIN), rng(0), gray)
    np.testing.assert_allclose(flat, 128 / 255, rtol=1e-6)
    shaded = coloured(labels, leaves, DeadLeaves(**PLAIN | {"shading": 0.5}), rng(0), gray)[0]
    halves = shaded[:, :16], shaded[:, 16:]
    for half in halves:  # planes: their second differences vanish
        assert np.abs(np.diff(half, 2, axis=0)).max() < 1e-6
        assert np.abs(np.diff(half, 2, axis=1)).max() < 1e-6
        assert half.std() > 0.01
    textured = coloured(labels, leaves, DeadLeaves(**PLAIN | {"textured": 1}), rng(1), gray)
    assert textured.std() > 0.001


def test_the_light_makes_shadows_below_and_bright_edges_above() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[10:30, 10:30] = 1
    light = relief(labels, DeadLeaves(relief=0.5, relief_width=(3, 3)), rng(0))
    assert (light[labels == 0] <= 1).all()
    assert (light[labels == 1] >= 1).all()
    assert light.min() < 1 < light.max()
    assert light[20, 20] == light[0, 0] == 1  # away from edges


def detail(seed: int, **settings: Any) -> float:
    drawn = picture(seed, **PLAIN | settings).astype(float)
    return float(sum(np.square(np.diff(drawn, axis=axis)).mean() for axis in (0, 1)))


def test_what_is_out_of_focus_has_less_detail() -> None:
    for seed in range(5):
        assert detail(seed, soft=1, blur=(2, 2)) < 0.7 * detail(seed, soft=0)
        far = {"deep": 1, "cover": (0.3, 0.3)}  # the same leaves, only the lens differs
        assert detail(seed, **far, background_blur=(4, 4)) < detail(
            seed, **far, background_blur=(0.7, 0.7)
        )


def test_leaves_in_focus_stay_sharp_before_a_background() -> None:
    far = {"deep": 1, "background_blur": (9, 9)}
    steps = [np.abs(np.diff(picture(s, **PLAIN | far).astype(int), axis=0)).max() for s in range(9)]
    assert np.median(steps) > 60


def test_one_side_of_a_picture_may_have_more_light() -> None:
    gray = np.full((1, 3), 128, np.uint8)
    lit = [picture(seed, palette=gray, **PLAIN | {"lighting": 0.5}) for seed in range(5)]
    assert (picture(0, palette=gray, **PLAIN) == 128).all()
    for drawn in lit:
        assert drawn.std() > 1
        assert drawn.mean() == pytest.approx(128, abs=2)  # the middle keeps its brightness


def test_settings_survive_json() -> None:
    settings = DeadLeaves(smallest=(2, 3), shapes={"line": 1})
    assert DeadLeaves.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"smallest": (5, 2)}, "the smaller number comes first"),
        ({"shapes": {"blob": 0}}, "at least one above 0"),
        ({"shapes": {"cat": 1}}, "'blob', 'ellipse'"),
        ({"deep": 1.5}, "less than or equal to 1"),
        ({"exponent": -1}, "greater than 0"),
        ({"finer": 0}, "greater than or equal to 1"),
        ({"leafs": 3}, "Extra inputs are not permitted"),
    ],
)
def test_settings_out_of_their_range_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        DeadLeaves(**wrong)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DeadLeaves().finer = 3  # type: ignore[misc]
