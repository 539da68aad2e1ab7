"""NIQE: against the MATLAB code's steps in numpy and scipy, and what it is for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve
from scipy.special import gamma
from skimage import data
from torch import Tensor

from diffir.data import imresize
from diffir.errors import DataError, WeightsError
from diffir.evaluation.natural_scene import fit_asymmetric, picture_features
from diffir.evaluation.niqe import (
    NIQE,
    PristineModel,
    fit,
    fit_folder,
    load_niqe,
    read_pristine_model,
    sharp_features,
)
from diffir.images import Picture

Array = np.ndarray


def photo(name: str, height: int = 288, width: int = 384) -> Tensor:
    pixels = getattr(data, name)()[:height, :width]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def crops() -> list[Tensor]:
    """Parts of photos, each with a block or two to learn from."""
    photos = [photo(name, 384, 480) for name in ("astronaut", "coffee", "rocket")]
    return [
        whole[..., top : top + 96, left : left + 192]
        for whole in photos
        for top in range(0, 289, 96)
        for left in range(0, 289, 96)
    ]


@pytest.fixture(scope="module")
def model() -> PristineModel:
    return fit(crops())


def asymmetric_by_hand(x: Array) -> tuple[float, float, float]:
    shapes = np.arange(0.2, 10.001, 0.001)
    ratios = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
    left = np.sqrt(np.mean(x[x < 0] ** 2))
    right = np.sqrt(np.mean(x[x > 0] ** 2))
    skew = left / right
    ratio = np.mean(np.abs(x)) ** 2 / np.mean(x**2)
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = shapes[np.argmin((ratios - ratio) ** 2)]
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


def features_by_hand(block: Array) -> list[float]:
    shape, left, right = asymmetric_by_hand(block)
    found = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = asymmetric_by_hand(block * np.roll(block, shift, axis=(0, 1)))
        found += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return found


def normalised_by_hand(luma: Array) -> tuple[Array, Array]:
    y, x = np.mgrid[-3:4, -3:4]
    window = np.exp(-(x**2 + y**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    mean = convolve(luma, window, mode="nearest")
    deviation = np.sqrt(np.abs(convolve(luma**2, window, mode="nearest") - mean**2))
    return (luma - mean) / (deviation + 1), deviation


def picture_by_hand(picture: Tensor) -> tuple[Array, Array]:
    """Features (N, 36) and sharpness (N,), block by block."""
    rgb = picture[0].double().numpy()
    luma = np.round(16 + 65.481 * rgb[0] + 128.553 * rgb[1] + 24.966 * rgb[2])
    rows, columns = (side // 96 for side in luma.shape)
    luma = luma[: 96 * rows, : 96 * columns]
    half = imresize(torch.from_numpy(luma)[None, None], 0.5)[0, 0].numpy()
    (full, deviation), (small, _) = normalised_by_hand(luma), normalised_by_hand(half)
    found, sharpness = [], []
    for row in range(rows):
        for column in range(columns):
            large = np.s_[96 * row : 96 * row + 96, 96 * column : 96 * column + 96]
            little = np.s_[48 * row : 48 * row + 48, 48 * column : 48 * column + 48]
            found.append(features_by_hand(full[large]) + features_by_hand(small[little]))
            sharpness.append(deviation[large].mean())
    return np.array(found), np.array(sharpness)


def test_features_and_sharpness_are_those_of_the_matlab_code() -> None:
    picture = photo("chelsea", 250, 301)  # 58 and 13 pixels too many
    features, sharpness = picture_features(picture)
    wanted_features, wanted_sharpness = picture_by_hand(picture)
    assert features.shape == (6, 36)
    # 1e-3: one step of the grid of shapes, where two are as near
    np.testing.assert_allclose(features, wanted_features, atol=2e-3, rtol=1e-3)
    assert np.median(np.abs(features.numpy() - wanted_features)) < 1e-9
    np.testing.assert_allclose(sharpness, wanted_sharpness, rtol=1e-9)


def test_the_score_is_the_distance_of_two_gaussians(model: PristineModel) -> None:
    picture = photo("chelsea")
    found, _ = picture_by_hand(picture)
    spread = (model.covariance.numpy() + np.cov(found, rowvar=False)) / 2
    step = model.mean.numpy() - found.mean(axis=0)
    wanted = np.sqrt(step @ np.linalg.pinv(spread) @ step)
    score = NIQE(model)(picture)
    assert score.dtype == torch.float64
    assert float(score) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("shape", [0.6, 1.0, 2.0, 4.0])
def test_a_fit_finds_the_shape_and_scales_that_were_drawn(shape: float) -> None:
    draw = np.random.default_rng(0)
    size = draw.gamma(1 / shape, size=400_000) ** (1 / shape)
    left, right = 0.5, 1.5
    side = draw.random(400_000) < left / (left + right)
    x = torch.from_numpy(np.where(side, -left * size, right * size))[None]
    found = torch.cat(fit_asymmetric(x)).tolist()
    assert found == pytest.approx([shape, left, right], rel=0.03)


def test_only_sharp_blocks_of_a_photo_are_learnt_from() -> None:
    sharp = photo("coffee", 192, 192)
    features, sharpness = picture_features(sharp)
    wanted = features[sharpness > 0.75 * sharpness.max()]
    assert 0 < len(wanted) < 4
    torch.testing.assert_close(sharp_features(sharp), wanted)


def test_noise_and_blur_are_worse_than_the_photo(model: PristineModel) -> None:
    niqe, clean = NIQE(model), photo("chelsea")
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(clean, 7, 1, 3, count_include_pad=False)
    clean_score, noisy, soft = niqe(torch.cat([clean, (clean + 0.1 * noise).clamp(0, 1), blurred]))
    assert clean_score < noisy
    assert clean_score < soft


def test_each_picture_of_a_batch_has_its_own_score(model: PristineModel) -> None:
    niqe, pictures = NIQE(model), [photo("chelsea"), photo("rocket")]
    torch.testing.assert_close(
        niqe(torch.cat(pictures)), torch.cat([niqe(picture) for picture in pictures])
    )


def test_a_model_is_read_as_it_was_written(model: PristineModel, tmp_path: Path) -> None:
    path = tmp_path / "niqe_pris_params.npz"
    model.save(path)
    found = read_pristine_model(path)
    assert torch.equal(found.mean, model.mean)
    assert torch.equal(found.covariance, model.covariance)
    with np.load(path) as file:  # as BasicSR's is
        shapes = {name: file[name].shape for name in file}
    wanted = {"mu_pris_param": (1, 36), "cov_pris_param": (36, 36), "gaussian_window": (7, 7)}
    assert shapes == wanted
    assert torch.equal(load_niqe(tmp_path)(photo("chelsea")), NIQE(model)(photo("chelsea")))


def test_the_model_of_a_folder_is_that_of_its_photos(tmp_path: Path) -> None:
    for index, picture in enumerate(crops()):
        pixels = (picture[0] * 255).round().byte().permute(1, 2, 0).numpy()
        Picture.from_array(pixels).save(tmp_path / f"{index:02}.png")
    found = fit_folder(tmp_path)
    torch.testing.assert_close(found.mean, fit(crops()).mean, rtol=0, atol=0)


def test_a_photo_of_a_folder_that_is_too_small_is_named(tmp_path: Path) -> None:
    Picture.from_array(np.zeros((95, 400, 3), np.uint8)).save(tmp_path / "flat.png")
    with pytest.raises(
        DataError, match=r"flat\.png: a picture of 400×95 found; NIQE needs at least two"
    ):
        fit_folder(tmp_path)


def test_a_missing_or_other_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"^niqe_pris_params\.npz is in none of "):
        load_niqe(tmp_path)
    path = tmp_path / "niqe_pris_params.npz"
    for write in (
        lambda: path.write_bytes(b"no zip"),
        lambda: np.savez(path, mu=np.zeros(36)),
        lambda: np.savez(path, mu_pris_param=np.zeros(36), cov_pris_param=np.eye(18)),
        lambda: np.savez(path, mu_pris_param=np.zeros(18), cov_pris_param=np.eye(36)),
    ):
        write()
        with pytest.raises(WeightsError, match="is not a model of NIQE, 36 and 36×36"):
            load_niqe(tmp_path)


class Trap:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_model_runs_no_code(tmp_path: Path) -> None:
    trap = np.array([Trap(tmp_path / "ran")], dtype=object)
    np.savez(tmp_path / "niqe_pris_params.npz", mu_pris_param=trap, cov_pris_param=np.eye(36))
    with pytest.raises(WeightsError, match="is not a model of NIQE"):
        load_niqe(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_what_has_too_few_blocks_is_refused(model: PristineModel) -> None:
    with pytest.raises(DataError, match="191×100 found; NIQE needs at least two blocks of 96×96"):
        NIQE(model)(torch.rand(1, 3, 100, 191))
    with pytest.raises(DataError, match=r"^0 blocks of 96×96 with detail found; NIQE needs 2"):
        NIQE(model)(torch.full((1, 3, 192, 192), 0.5))
    with pytest.raises(DataError, match="with detail found; NIQE needs 37"):
        fit([photo("chelsea")])
    with pytest.raises(DataError, match=r"^0 blocks"):
        fit([])
