"""NIQE (Mittal et al. 2013): how unlike those of good photos the statistics of a picture are.

It needs no reference but a model of good photos, which `fit` makes of some and a file keeps.
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
"""The authors' model, as BasicSR keeps it; no hash is published. What `PristineModel.save` writes
has the same names."""
MODEL_NAMES = ("mu_pris_param", "cov_pris_param")

SHARP = 0.75  # of the sharpest block of a photo: what a block needs to be learnt from


@dataclass(frozen=True)
class PristineModel:
    """A Gaussian of the features of good photos."""

    mean: Tensor
    """(36,) float64."""
    covariance: Tensor
    """(36, 36) float64."""

    def save(self, path: Path) -> None:
        """Write it as an .npz that BasicSR reads, too; raises OSError."""
        with whole_file(path) as file:
            np.savez(
                file,
                mu_pris_param=self.mean[None].numpy(),
                cov_pris_param=self.covariance.numpy(),
                gaussian_window=window().numpy(),
            )


def read_pristine_model(path: Path) -> PristineModel:
    """The model in an .npz file; nothing in it is unpickled.

    Raises:
        WeightsError: when the file is broken or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            mean, covariance = (file[name].astype(np.float64) for name in MODEL_NAMES)
    except Exception as error:  # zip, numpy and the missing names have their own
        raise no_model(path) from error
    if mean.size != FEATURES or covariance.shape != (FEATURES, FEATURES):
        raise no_model(path)
    return PristineModel(torch.from_numpy(mean.ravel()), torch.from_numpy(covariance))


def no_model(path: Path) -> WeightsError:
    """The error for a file that holds something else."""
    return WeightsError(
        f"{path} holds no model of NIQE, which is {FEATURES} and {FEATURES}×{FEATURES} numbers "
        f"called {' and '.join(MODEL_NAMES)}; get it anew or fit one"
    )


def gaussian_of(features: Tensor, least: int) -> PristineModel:
    """Mean and covariance (divided by N − 1) of features (N, 36), NaN left out.

    Raises:
        DataError: when fewer than `least` blocks have all features.
    """
    whole = features[~features.isnan().any(dim=1)]
    if len(whole) < least:
        raise DataError(
            f"{len(whole)} blocks of {BLOCK}×{BLOCK} with detail found, where NIQE takes "
            f"{least}; give more or larger photos"
        )
    return PristineModel(features.nanmean(dim=0), torch.cov(whole.T))


def sharp_features(photo: Tensor) -> Tensor:
    """Features of the blocks nearly as sharp as the sharpest; raises as `picture_features`."""
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
    """The model of the photos in a folder and its folders.

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
    """The distance from a model of good photos; low is good."""

    model: PristineModel

    def __call__(self, restored: Tensor) -> Tensor:
        """Of each picture, (B,) float64, from (B, 3, H, W) in [0, 1].

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
