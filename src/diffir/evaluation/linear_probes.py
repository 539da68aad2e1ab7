"""What numbers tell: how far they differ between pictures, and what a straight line reads off them.

N pictures, D numbers of each.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

FEWEST = 10  # pictures that a probe is fitted and tested on
FEWEST_OF_A_KIND = 3
FOLDS = 5
SHUFFLES = 20
PENALTIES = np.logspace(-4, 3, 15)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How much of a fact is read off numbers: 1 all of it, 0 or less nothing."""

    r2: float
    """Share of the variance that is told, on pictures that were not fitted to."""
    shuffled: float
    """The same where the fact is another picture's, mean of 20 shuffles: what chance tells."""
    shuffled_std: float
    """Standard deviation over the shuffles."""


def effective_rank(numbers: Numbers) -> float:
    """In how many directions (N, D) varies: from 1, or 0 where it does not, to N − 1.

    The exponential of the entropy of the covariance's eigenvalues, their sum made 1 (Roy and
    Vetterli, EUSIPCO 2007, there of singular values).
    """
    variances = np.linalg.svd(numbers - numbers.mean(axis=0), compute_uv=False) ** 2
    if variances.sum() <= 1e-12 * np.square(numbers).sum():  # rounding errors
        return 0.0
    shares = variances / variances.sum()
    shares = shares[shares > 0]
    return math.exp(-float(shares @ np.log(shares)))


def is_probed(label: Numbers) -> bool:
    """Whether enough pictures have a fact, and differ in it."""
    known = label[np.isfinite(label)]
    _, counts = np.unique(known, return_counts=True)
    if len(known) < FEWEST or len(counts) < 2:
        return False
    return len(counts) > 2 or int(counts.min()) >= FEWEST_OF_A_KIND


def read_off(numbers: Numbers, label: Numbers, seed: int) -> Reading:
    """How much ridge regression tells of a label (N) by numbers (N, D), by cross-validation."""
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
    """1 − squared errors over those of the mean; each fold is told by the others alone."""
    errors = by_mean = 0.0
    for fold in range(FOLDS):
        there, held = folds != fold, folds == fold
        told = ridge(numbers[there], label[there], numbers[held])
        errors += float(np.square(told - label[held]).sum())
        by_mean += float(np.square(label[there].mean() - label[held]).sum())
    return 1 - errors / by_mean


def ridge(numbers: Numbers, label: Numbers, of_others: Numbers) -> Numbers:
    """What ridge regression, fitted to (n, D) and (n), says of others (m, D): (m).

    The penalty is the one of `PENALTIES` that tells each of the n best by all the others, in closed
    form; numbers are standardised, and those that are the same everywhere left out.
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
    told: Numbers = others @ (x.T @ coefficients) / x.shape[1] + label.mean()
    return told
