"""Motion blur: paths, kernels, linear light, and what a picture may and may not depend on."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from diffir.data import Draws, motion
from diffir.data.motion import (
    NOISELESS,
    PHONE,
    STRAIGHT,
    UNIFORM,
    MotionBlur,
    add_noise,
    average_frames,
    blur,
    brighten_highlights,
    camera_path,
    linear_to_srgb,
    path_kernel,
    shake,
    srgb_to_linear,
    thinned,
)
from diffir.data.resize import imresize


def replace(settings: MotionBlur, **changes: Any) -> MotionBlur:
    return MotionBlur(**(settings.model_dump() | changes))


def motion_blur(gt: Tensor, settings: MotionBlur, seed: tuple[int, ...]) -> Tensor:
    return motion.motion_blur(gt, settings, Draws(seed, tuple(range(len(gt)))))[0]


STILL = replace(NOISELESS, length=(0, 0), turn=(0, 0))
TURNING = replace(NOISELESS, turn_probability=1)
SHIFTING = replace(NOISELESS, turn_probability=0)


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def pictures(count: int = 2, height: int = 40, width: int = 48) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def point(value: float = 1, side: int = 65) -> Tensor:
    """A bright point in the dark."""
    image = torch.zeros(1, 3, side, side)
    image[..., side // 2, side // 2] = value
    return image


@pytest.mark.parametrize("length", [0, 0.4, 7, 60])
def test_a_path_has_the_length_and_turn_asked_for_and_its_mean_at_rest(length: float) -> None:
    path = camera_path(length, 0.03, MotionBlur(), rng(1))
    steps = np.linalg.norm(np.diff(path[:, :2], axis=0), axis=1)
    assert steps.sum() == pytest.approx(length)
    assert np.ptp(path[:, 2]) == pytest.approx(0.03)
    assert path.mean(axis=0) == pytest.approx(0, abs=1e-9)


def test_without_tremor_and_jerks_the_path_is_straight() -> None:
    for seed in range(5):
        path = camera_path(30, 0, STRAIGHT, rng(seed))
        assert np.linalg.norm(path[-1] - path[0]) == pytest.approx(30)


def test_a_camera_without_inertia_slows_down() -> None:
    path = camera_path(30, 0, replace(STRAIGHT, inertia=(0.1, 0.1)), rng(0))
    steps = np.linalg.norm(np.diff(path[:, :2], axis=0), axis=1)
    assert steps[-1] / steps[0] == pytest.approx(0.1, rel=0.02)  # one sample short of the end


def test_a_jerk_is_a_corner_of_the_path() -> None:
    path = camera_path(30, 0, replace(STRAIGHT, jerks=(1, 1), inertia=(1, 1)), rng(3))
    bends = np.linalg.norm(np.diff(path[:, :2], n=2, axis=0), axis=1)
    assert (bends > 1e-9).sum() == 1


def test_kernels_sum_to_one_around_their_middle() -> None:
    for seed in range(10):
        kernel = path_kernel(camera_path(20, 0, MotionBlur(), rng(seed)))
        side = len(kernel)
        assert kernel.shape == (side, side)
        assert side % 2 == 1
        assert (kernel >= 0).all()
        assert float(kernel.sum()) == pytest.approx(1, abs=1e-6)
        offsets = torch.arange(side) - side // 2
        for marginal in (kernel.sum(0), kernel.sum(1)):
            assert float(marginal @ offsets.float()) == pytest.approx(0, abs=1e-4)


def test_a_kernels_extent_grows_with_the_length_of_the_path() -> None:
    steady = replace(STRAIGHT, inertia=(1, 1))
    kernels = [path_kernel(camera_path(length, 0, steady, rng(5))) for length in (0, 4, 16, 64)]
    offsets = [k.nonzero().sub(len(k) // 2).double().norm(dim=1).max() for k in kernels]
    assert [float(offset) for offset in offsets] == pytest.approx(
        [0, 2, 8, 32], abs=1.5
    )  # a pixel across
    assert offsets == sorted(offsets)
    assert kernels[0].tolist() == [[1]]


def test_a_kernel_is_a_thin_line_and_no_spot() -> None:
    kernel = path_kernel(camera_path(40, 0, MotionBlur(), rng(2)))
    assert int((kernel > 0).sum()) < 5 * 40


def test_parts_of_pixels_are_shared_among_neighbours() -> None:
    kernel = path_kernel(np.array([[0.25, 0, 0], [-0.25, 0, 0]]))
    assert kernel.tolist() == [[0, 0, 0], [0.125, 0.75, 0.125], [0, 0, 0]]


def test_a_blurred_point_is_the_kernel() -> None:
    kernel = path_kernel(camera_path(20, 0, MotionBlur(), rng(1)))
    radius = len(kernel) // 2
    found = blur(point(), kernel)[0, 0]
    middle = slice(32 - radius, 33 + radius)
    assert torch.equal(found[middle, middle], kernel)
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)


def test_blur_equals_convolution() -> None:
    kernel = path_kernel(camera_path(12, 0, MotionBlur(), rng(1)))
    images, radius = pictures(), len(kernel) // 2
    wanted = torch.nn.functional.conv2d(
        images.flatten(0, 1)[:, None], kernel.flip(0, 1)[None, None]
    ).reshape(2, 3, 40 - 2 * radius, 48 - 2 * radius)
    found = blur(images, kernel)[..., radius:-radius, radius:-radius]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)  # other order of sums


def test_shaking_without_turns_is_blur_with_the_paths_kernel() -> None:
    path = camera_path(10, 0, MotionBlur(), rng(4))
    images = pictures()
    # 1e-4: grid_sample takes positions in float32 shares of the picture
    torch.testing.assert_close(
        shake(images, path), blur(images, path_kernel(path)), atol=1e-4, rtol=0
    )


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    images = pictures(height=40, width=40)
    turned = shake(images, np.array([[0, 0, np.pi / 2]]))
    # x goes to y, which runs downward: clockwise on the screen
    torch.testing.assert_close(turned, images.rot90(-1, (2, 3)), atol=1e-4, rtol=0)


def test_turning_blurs_the_corners_more_than_the_middle() -> None:
    image = torch.zeros(1, 3, 97, 97)
    image[..., 48, 48] = image[..., 8, 8] = 1
    path = camera_path(0, 0.2, MotionBlur(), rng(0))
    shaken = shake(image, thinned(path, 97, 97))[0, 0]
    assert shaken[48, 48] > 0.95
    assert shaken[8, 8] < 0.5


def test_thinned_paths_leave_no_gaps_and_keep_their_ends() -> None:
    path = camera_path(20, 0.02, MotionBlur(), rng(0))
    thin = thinned(path, 256, 256)
    assert 40 <= len(thin) < len(path)
    assert np.array_equal(thin[[0, -1]], path[[0, -1]])
    assert len(thinned(np.zeros((512, 3)), 256, 256)) == 1


@pytest.mark.parametrize("odds", [0, 1])
def test_a_path_of_length_zero_leaves_the_picture_unchanged(odds: float) -> None:
    gt = pictures()
    lq = motion_blur(gt, replace(STILL, turn_probability=odds), (1,))
    torch.testing.assert_close(
        lq, gt, atol=1e-4, rtol=0
    )  # to light and back, and float32 positions


@pytest.mark.parametrize("settings", [TURNING, SHIFTING])
@pytest.mark.parametrize("value", [0.0, 0.02, 0.5, 1.0])
def test_a_constant_picture_stays_constant(settings: MotionBlur, value: float) -> None:
    gt = torch.full((2, 3, 50, 30), value)
    torch.testing.assert_close(motion_blur(gt, settings, (1,)), gt, atol=1e-5, rtol=0)


def test_srgb_is_the_standards_curve() -> None:
    values = torch.linspace(0, 1, 256, dtype=torch.float64)
    light = srgb_to_linear(values)
    torch.testing.assert_close(linear_to_srgb(light), values, atol=1e-6, rtol=0)
    assert float(srgb_to_linear(torch.tensor(0.5))) == pytest.approx(0.21404, abs=1e-5)
    assert float(srgb_to_linear(torch.tensor(0.04))) == pytest.approx(0.04 / 12.92)


def test_light_is_added_up_linearly() -> None:
    settings = replace(SHIFTING, length=(20, 20))
    lq = motion_blur(point(), settings, (1,))
    assert float(srgb_to_linear(lq)[0, 0].sum()) == pytest.approx(1, abs=1e-3)
    assert float(lq[0, 0].sum()) > 2  # the same streak in the values of files


def test_bright_lights_leave_clipped_streaks() -> None:
    lamp = torch.zeros(1, 3, 65, 65)
    lamp[..., 29:36, 29:36] = 1
    plain, bright = (
        motion_blur(lamp, replace(SHIFTING, length=(15, 15), highlight_gain=(gain, gain)), (1,))
        for gain in (1, 20)
    )
    assert 0.999 < float(bright.max()) <= 1
    assert (bright > 0.999).sum() > 2 * (plain > 0.999).sum()


def test_only_white_is_brightened_and_no_colour_shifts() -> None:
    light = torch.tensor([[1, 1, 1], [1, 0.9, 0.3], [0.5, 0.5, 0.5]])[..., None, None]
    found = brighten_highlights(light, 5)
    wanted = light * torch.tensor([5, 1, 1])[:, None, None, None]
    torch.testing.assert_close(found, wanted)


def test_noise_has_the_variance_of_a_sensor() -> None:
    light = torch.tensor([0.0, 0.25, 1.0])[:, None].expand(3, 200_000)
    noise = add_noise(light, 4e-4, 1e-2, torch.Generator().manual_seed(0)) - light
    wanted = torch.tensor([1e-4, 2e-4, 5e-4])
    torch.testing.assert_close(noise.var(dim=1), wanted, rtol=0.02, atol=0)  # chance: 0.3 %


def test_jpeg_leaves_eight_bits() -> None:
    lq = motion_blur(pictures(), replace(PHONE, jpeg_probability=1, jpeg_quality=(70, 70)), (1,))
    levels = lq * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("settings", [MotionBlur(), PHONE, TURNING, SHIFTING])
def test_the_same_seed_gives_the_same_bits_and_another_others(settings: MotionBlur) -> None:
    gt = pictures()
    first, again, other = (motion_blur(gt, settings, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert torch.equal(first, again)
    assert first.shape == gt.shape
    assert first.dtype == torch.float32
    assert 0 <= float(first.min()) <= float(first.max()) <= 1
    assert all((a != b).any() for a, b in zip(first, other, strict=True))


def test_an_item_does_not_depend_on_the_size_of_its_batch() -> None:
    gt = pictures(5)
    assert torch.equal(motion_blur(gt, PHONE, (7,))[:2], motion_blur(gt[:2], PHONE, (7,)))


def test_items_of_a_batch_are_blurred_differently() -> None:
    gt = pictures(1).expand(3, -1, -1, -1)
    first, second, third = motion_blur(gt, NOISELESS, (7,))
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)


def test_the_global_generator_is_neither_used_nor_moved() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    motion_blur(pictures(), PHONE, (1,))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_no_batch_of_colour_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 8, 8\) found"):
        motion_blur(torch.zeros(3, 8, 8), NOISELESS, (0,))


def test_averaging_identical_frames_gives_the_frame() -> None:
    frame = pictures(1)[0]
    found = average_frames(frame.expand(7, -1, -1, -1))
    torch.testing.assert_close(found, frame, atol=1e-6, rtol=0)


def test_frames_are_averaged_as_light() -> None:
    frames = torch.tensor([0.0, 1.0])[:, None]
    assert float(average_frames(frames)) == pytest.approx(0.5 ** (1 / 2.2))
    assert float(average_frames(frames, gamma=1)) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="at least one"):
        average_frames(frames[:0])


def test_pairs_have_lq_in_8_bits_and_no_border_that_light_could_not_cross() -> None:
    settings = replace(SHIFTING, length=(9, 9))
    gt = pictures(2, 50, 50)
    batch = settings.batch(gt, 1, Draws((3,), (0, 1)))
    assert settings.margin(1) == 7
    assert torch.equal(batch.gt, gt[..., 7:-7, 7:-7])
    wanted = (motion_blur(gt, settings, (3,))[..., 7:-7, 7:-7] * 255).round() / 255
    assert torch.equal(batch.lq, wanted)


def test_light_is_collected_by_larger_pixels_before_the_camera_adds_its_noise() -> None:
    settings, draws = replace(SHIFTING, length=(9, 9)), Draws((3,), (0, 1))
    gt = pictures(2, 60, 60)
    kernels = settings.kernels(draws)
    light = torch.cat(
        [blur(srgb_to_linear(one[None]), kernel) for one, kernel in zip(gt, kernels, strict=True)]
    )
    wanted = linear_to_srgb(imresize(light, 1 / 2).clamp(0, 1))
    batch = settings.batch(gt, 2, draws)
    assert settings.margin(2) == 14  # 7 for the path, 6 for the reduction, even
    torch.testing.assert_close(batch.lq, wanted[..., 7:-7, 7:-7], atol=0.5001 / 255, rtol=0)
    assert torch.equal(batch.gt, gt[..., 14:-14, 14:-14])
    noisy = replace(settings, read_noise=(0.1, 0.1)).batch(torch.full_like(gt, 0.5), 2, draws).lq
    light = srgb_to_linear(noisy)
    assert float(light.std()) == pytest.approx(0.1, rel=0.1)  # of LQ's pixels, not averaged


def test_a_crop_at_scale_2_is_degraded_as_the_whole_picture_is() -> None:
    settings, draws = replace(SHIFTING, length=(9, 9)), Draws((3,), (0,))
    whole = pictures(1, 80, 80)
    crop = settings.batch(whole[..., 10:-10, 10:-10], 2, draws).lq
    assert torch.equal(crop, settings.batch(whole, 2, draws).lq[..., 5:-5, 5:-5])


def test_no_path_reaches_beyond_the_margin() -> None:
    settings = replace(MotionBlur(), length=(40, 40))
    paths = (camera_path(40, 0, settings, rng(seed)) for seed in range(300))
    reach = max(float(np.abs(path[:, :2]).max()) for path in paths)
    assert 20 < reach < settings.margin(1)


def test_a_camera_without_inertia_tremor_and_jerks_has_a_path() -> None:
    still = replace(STRAIGHT, inertia=(0, 0))
    path = camera_path(10, 0.02, still, rng(0))
    assert np.linalg.norm(np.diff(path[:, :2], axis=0), axis=1).sum() == pytest.approx(10)
    assert np.ptp(path[:, 2]) == pytest.approx(0.02)
    lq, _ = motion.motion_blur(pictures(1, 24, 24), still, Draws((0,), (0,)))
    assert lq.isfinite().all()


def test_the_kernel_of_a_draw_is_the_one_that_the_picture_is_blurred_with() -> None:
    settings, draws = replace(SHIFTING, length=(9, 9)), Draws((3,), (0, 7))
    lamps = point(side=41).expand(2, -1, -1, -1)
    light = srgb_to_linear(motion.motion_blur(lamps, settings, draws)[0])
    for seen, kernel in zip(light, settings.kernels(draws), strict=True):
        assert kernel is not None
        radius = len(kernel) // 2
        middle = slice(20 - radius, 21 + radius)
        torch.testing.assert_close(seen[0, middle, middle], kernel, atol=1e-5, rtol=0)
        assert float(seen[0].sum()) == pytest.approx(1, abs=1e-3)


def test_a_picture_that_turns_has_no_kernel() -> None:
    settings, draws = replace(SHIFTING, turn_probability=0.5), Draws((3,), tuple(range(20)))
    facts = settings.batch(pictures(20, 44, 44), 1, draws).facts
    kernels = settings.kernels(draws)
    assert [kernel is None for kernel in kernels] == [fact["path_turn"] != 0 for fact in facts]
    assert {kernel is None for kernel in kernels} == {True, False}


@pytest.mark.parametrize("value", [0.1, 0.3, 0.6, 0.95])
def test_uniform_blur_has_noise_of_two_to_three_levels_at_every_brightness(value: float) -> None:
    lq = UNIFORM.batch(torch.full((1, 3, 120, 120), value), 1, Draws((0,), (0,))).lq
    assert 1.9 < float((lq - value).std() * 255) < 3.1
    assert 15 <= UNIFORM.length[0] <= UNIFORM.length[1] <= 25


def test_length_and_angle_are_told_of_each_picture() -> None:
    settings = replace(STRAIGHT, length=(10, 30), turn=(0.01, 0.02))
    facts = settings.batch(pictures(3, 60, 60), 1, Draws((3,), (0, 1, 2))).facts
    assert len({fact["path_length"] for fact in facts}) == 3
    assert all(10 <= float(fact["path_length"]) <= 30 for fact in facts)
    assert all(0 <= float(fact["path_angle"]) < 180 for fact in facts)
    assert all(fact["path_turn"] == 0 for fact in facts)
