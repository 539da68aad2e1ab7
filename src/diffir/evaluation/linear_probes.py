"""Linear probes: how far features vary between pictures, and what can be predicted from them.

N pictures, D numbers of each.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

FEWEST = 10  # pictures for fitting and testing a probe
FEWEST_OF_A_KIND = 3
FOLDS = 5
SHUFFLES = 20
PENALTIES = np.logspace(-4, 3, 15)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How well a fact is predicted: 1 perfectly, 0 or less not at all."""

    r2: float
    """Explained share of the variance, cross-validated."""
    shuffled: float
    """The same after shuffling the fact over pictures, mean of 20 shuffles: the level of chance."""
    shuffled_std: float
    """Standard deviation over the shuffles."""


def effective_rank(numbers: Numbers) -> float:
    """The number of directions in which (N, D) varies: from 1, or 0 if constant, to N − 1.

    The exponential of the entropy of the covariance's normalised eigenvalues (Roy and Vetterli,
    EUSIPCO 2007, there of singular values).
    """
    variances = np.linalg.svd(numbers - numbers.mean(axis=0), compute_uv=False) ** 2
    if variances.sum() <= 1e-12 * np.square(numbers).sum():  # rounding errors
        return 0.0
    shares = variances / variances.sum()
    shares = shares[shares > 0]
    return math.exp(-float(shares @ np.log(shares)))


def is_probed(label: Numbers) -> bool:
    """Whether a fact is known for enough pictures, and differs between them."""
    known = label[np.isfinite(label)]
    _, counts = np.unique(known, return_counts=True)
    if len(known) < FEWEST or len(counts) < 2:
        return False
    return len(counts) > 2 or int(counts.min()) >= FEWEST_OF_A_KIND


def read_off(numbers: Numbers, label: Numbers, seed: int) -> Reading:
    """How well ridge regression predicts a label (N) from (N, D), by cross-validation."""
    known = np.isfinite(label)
    numbers, label = numbers[known], label[known]
    random = np.random.default_rng(seed)
    folds = random.permutation(len(label)) % FOLDS
    chance = [r_squared(numbers, random.permutation(label), folds) for _ in range(SHUFFLES)]
    return Reading(
        r2=r_squared(numbers, label, folds),
        shuffled=float(np.mean(chance)),
        shuffled_std=float(np.std(chance, ddof=1)),
    )


def r_squared(numbers: Numbers, label: Numbers, folds: NDArray[np.int64]) -> float:
    """1 − squared errors over those of the mean; each fold is predicted from the others."""
    errors = by_mean = 0.0
    for fold in range(FOLDS):
        fitted, held = folds != fold, folds == fold
        predicted = ridge(numbers[fitted], label[fitted], numbers[held])
        errors += float(np.square(predicted - label[held]).sum())
        by_mean += float(np.square(label[fitted].mean() - label[held]).sum())
    return 1 - errors / by_mean


def ridge(numbers: Numbers, label: Numbers, of_others: Numbers) -> Numbers:
    """The predictions (m) for (m, D) of ridge regression fitted to (n, D) and (n).

    The penalty is that of `PENALTIES` with the least leave-one-out error, in closed form; numbers
    are standardised, and constant ones left out.
    """
    mean, std = numbers.mean(axis=0), numbers.std(axis=0)
    std = np.where(std > 1e-6 * np.abs(mean), std, np.inf)
    x, others = (numbers - mean) / std, (of_others - mean) / std
    values, vectors = np.linalg.eigh(x @ x.T / x.shape[1])
    y = label - label.mean()
    turned = vectors.T @ y
    best, coefficients = math.inf, y
    for penalty in PENALTIES:
        kept = values / (values + penalty)
        leverage = np.square(vectors) @ kept + 1 / len(y)
        left_out = (y - vectors @ (kept * turned)) / np.maximum(1 - leverage, 1e-9)
        if np.square(left_out).sum() < best:
            best = float(np.square(left_out).sum())
            coefficients = vectors @ (turned / (values + penalty))
    predicted: Numbers = others @ (x.T @ coefficients) / x.shape[1] + label.mean()
    return predicted
