"""Means over volumes, and how far other patients of the same kind would move them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_RESAMPLES = 2000
_TAILS = (0.025, 0.975)


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A mean over volumes and where it would lie for other patients of the same kind."""

    mean: float
    low: float | None
    """2.5 % bound by bootstrap; None for a single patient."""
    high: float | None
    """97.5 % bound by bootstrap; None for a single patient."""


def resample(
    patients: Sequence[str], values: Sequence[Sequence[float]], weights: Sequence[float], seed: int
) -> list[Interval]:
    """Weighted mean and percentile interval of each column of values, patients drawn with replacement.

    Args:
        patients: (row,) the patient that each row belongs to.
        values: (row, column).
        weights: (row,) what each row counts in a mean.
        seed: The same rows and seed give the same intervals.

    Source:
        Efron and Tibshirani, An introduction to the bootstrap (1993), chapter 13: the percentile interval.
    """
    patient_of_row = np.unique(patients, return_inverse=True)[1]
    num_patients = int(patient_of_row.max()) + 1
    picks = np.random.default_rng(seed).integers(0, num_patients, (NUM_RESAMPLES, num_patients))
    shares = np.array(weights, np.float64)
    return [_interval(column, shares, patient_of_row, picks) for column in np.array(values, np.float64).T]


def _interval(
    values: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    patients: npt.NDArray[np.int64],
    picks: npt.NDArray[np.int64],
) -> Interval:
    mean = float(np.average(values, weights=weights))
    if picks.shape[1] == 1:
        return Interval(mean=mean, low=None, high=None)
    sums, totals = np.bincount(patients, values * weights), np.bincount(patients, weights)
    means = sums[picks].sum(1) / totals[picks].sum(1)
    # No interpolation: an infinite PSNR may be among the means.
    low, high = np.quantile(means, _TAILS, method="inverted_cdf")
    return Interval(mean=mean, low=float(low), high=float(high))
