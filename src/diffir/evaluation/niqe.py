"""NIQE (Mittal et al. 2013): how much a picture's statistics differ from those of good photos.

It needs no reference, only a model of good photos, which `fit` makes and a file stores.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffir.data import picture_files
from diffir.data.pixels import rgb_pixels, to_tensor
from diffir.errors import DataError, WeightsError
from diffir.files import whole_file
from diffir.images import read
from diffir.losses import PublicWeights, find_weights

from .natural_scene import BLOCK, FEATURES, picture_features, window

NIQE_MODEL = PublicWeights(
    "niqe_pris_params.npz",
    "https://github.com/XPixelGroup/BasicSR/raw/master/basicsr/metrics/niqe_pris_params.npz",
)
"""The authors' model, as stored by BasicSR, without a published hash. `PristineModel.save` uses the
same names."""
MODEL_NAMES = ("mu_pris_param", "cov_pris_param")

SHARP = 0.75  # least sharpness of fitted blocks, relative to the sharpest block of a photo


@dataclass(frozen=True)
class PristineModel:
    """A Gaussian model of the features of good photos."""

    mean: Tensor
    """(36,) float64."""
    covariance: Tensor
    """(36, 36) float64."""

    def save(self, path: Path) -> None:
        """Write it as an .npz that BasicSR can read, too; raises OSError."""
        with whole_file(path) as file:
            np.savez(
                file,
                mu_pris_param=self.mean[None].numpy(),
                cov_pris_param=self.covariance.numpy(),
                gaussian_window=window().numpy(),
            )


def read_pristine_model(path: Path) -> PristineModel:
    """The model in an .npz file, read without pickle.

    Raises:
        WeightsError: when the file is broken or has other content.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            mean, covariance = (file[name].astype(np.float64) for name in MODEL_NAMES)
    except Exception as error:  # of zip, numpy or missing names
        raise no_model(path) from error
    if mean.size != FEATURES or covariance.shape != (FEATURES, FEATURES):
        raise no_model(path)
    return PristineModel(torch.from_numpy(mean.ravel()), torch.from_numpy(covariance))


def no_model(path: Path) -> WeightsError:
    """The error for a file with other content."""
    return WeightsError(
        f"{path} is not a model of NIQE, {FEATURES} and {FEATURES}×{FEATURES} numbers named "
        f"{' and '.join(MODEL_NAMES)}; get another copy, or fit one"
    )


def gaussian_of(features: Tensor, least: int) -> PristineModel:
    """Mean and covariance (divided by N − 1) of features (N, 36), NaN left out.

    Raises:
        DataError: when fewer than `least` blocks have all features.
    """
    whole = features[~features.isnan().any(dim=1)]
    if len(whole) < least:
        raise DataError(
            f"{len(whole)} blocks of {BLOCK}×{BLOCK} with detail found; NIQE needs {least}, "
            "so give more or larger photos"
        )
    return PristineModel(features.nanmean(dim=0), torch.cov(whole.T))


def sharp_features(photo: Tensor) -> Tensor:
    """Features of blocks nearly as sharp as the sharpest; raises as `picture_features`."""
    features, sharpness = picture_features(photo)
    return features[sharpness > SHARP * sharpness.max()]


def model_of(kept: list[Tensor]) -> PristineModel:
    """The model of the sharp features of photos; raises as `gaussian_of`."""
    return gaussian_of(torch.cat([torch.empty(0, FEATURES).double(), *kept]), least=FEATURES + 1)


def fit(photos: Iterable[Tensor]) -> PristineModel:
    """The model of good photos (1, 3, H, W) in [0, 1], of any sizes.

    Raises:
        DataError: as `picture_features`, and when all together have too few sharp blocks.
    """
    return model_of([sharp_features(photo) for photo in photos])


def fit_folder(folder: Path) -> PristineModel:
    """The model of the photos in a folder and its subfolders.

    Raises:
        DataError: as `picture_files` and `fit`, naming the photo.
        PictureError: when a photo can't be read.
    """
    kept = []
    for path in picture_files([folder]):
        try:
            kept.append(sharp_features(to_tensor(rgb_pixels(read(path)))))
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
    return model_of(kept)


@dataclass(frozen=True)
class NIQE:
    """The distance from a model of good photos; lower is better."""

    model: PristineModel

    def __call__(self, restored: Tensor) -> Tensor:
        """NIQE of each picture, (B,) float64, of (B, 3, H, W) in [0, 1].

        Raises:
            DataError: as `picture_features` and `gaussian_of`.
        """
        return torch.stack([self.distance(picture[None]) for picture in restored])

    def distance(self, picture: Tensor) -> Tensor:
        """√((μ₁ − μ₂)ᵀ ((Σ₁ + Σ₂) / 2)⁻¹ (μ₁ − μ₂))."""
        found = gaussian_of(picture_features(picture)[0], least=2)
        step = self.model.mean - found.mean
        spread = (self.model.covariance + found.covariance) / 2
        return (step @ torch.linalg.pinv(spread, hermitian=True) @ step).sqrt()


def load_niqe(weights_dir: Path | None = None) -> NIQE:
    """NIQE with the model of good photos from this machine.

    Raises:
        WeightsError: as `find_weights` and `read_pristine_model`.
    """
    return NIQE(read_pristine_model(find_weights(NIQE_MODEL, weights_dir)))
