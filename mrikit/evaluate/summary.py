"""Many scores in few numbers: means with confidence intervals, differences between models, slices in order."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

NUM_RESAMPLES = 2000
_TAILS = (0.025, 0.975)


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeScore:
    """The scores of one reconstructed volume."""

    volume_id: str
    path: str
    """File of the volume, absolute."""
    reconstruction: str
    """File of the reconstruction, relative to the folder of the scores."""
    model: str
    acquisition: str | None
    anatomy: str | None
    mask: str
    """Kind of sampling mask."""
    acceleration: float
    """Nominal acceleration; for a mask that was stored in the file its estimate, rounded."""
    true_acceleration: float
    """Acquired lines over sampled ones."""
    num_slices: int
    ssim: float
    """Mean over slices."""
    psnr: float
    """dB; infinite where reconstruction and reference are equal."""
    nmse: float
    mse: float
    """In the squared scale of the data."""
    slice_ssim: tuple[float, ...]
    """SSIM of each slice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A mean over volumes and where it would lie for other volumes of the same kind."""

    mean: float
    low: float | None
    """2.5 % bound by bootstrap; None for a single volume."""
    high: float | None
    """97.5 % bound by bootstrap; None for a single volume."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The scores of one model at one acceleration, of one acquisition or of all."""

    model: str
    acceleration: float
    acquisition: str | None
    """None stands for all acquisitions together."""
    num_volumes: int
    num_slices: int
    ssim: Interval
    psnr: Interval
    nmse: Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """How much a model differs from another one on the volumes that both reconstructed."""

    model: str
    baseline: str
    acceleration: float
    num_volumes: int
    ssim: Interval
    psnr: Interval
    nmse: Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceScore:
    """One slice of one volume."""

    row: VolumeScore
    slice_index: int
    ssim: float


def summarise(rows: Iterable[VolumeScore], by_acquisition: bool = False, *, seed: int = 0) -> list[Summary]:
    """Means over volumes with 95 % bootstrap confidence intervals, for each model and acceleration.

    Args:
        rows: Scored volumes.
        by_acquisition: Also tell acquisitions apart; volumes that name none are grouped as `unknown`.
        seed: Of the resampling; the same rows and seed give the same intervals.

    Returns:
        Sorted by acceleration, acquisition and model.

    Source:
        Efron and Tibshirani, An introduction to the bootstrap (1993), chapter 13: the percentile interval.
    """

    def group(row: VolumeScore) -> tuple[float, str, str]:
        return row.acceleration, (row.acquisition or "unknown") if by_acquisition else "", row.model

    return [
        Summary(
            model=model,
            acceleration=acceleration,
            acquisition=acquisition or None,
            num_volumes=len(members),
            num_slices=sum(row.num_slices for row in members),
            **_intervals([_values(row) for row in members], seed),
        )
        for (acceleration, acquisition, model), members in _groups(rows, group)
    ]


def compare_models(rows: Iterable[VolumeScore], baseline: str, *, seed: int = 0) -> list[Difference]:
    """Each model minus the baseline on the same volumes at the same acceleration, with 95 % confidence intervals.

    Pairing removes what differs between volumes: two models may differ clearly although their own intervals overlap.

    Args:
        rows: Scored volumes of several models.
        baseline: Name of the model to subtract.
        seed: Of the resampling.

    Returns:
        One for each other model and acceleration that share volumes with the baseline.
    """
    rows = list(rows)
    base = {(row.path, row.acceleration): _values(row) for row in rows if row.model == baseline}
    others = [row for row in rows if row.model != baseline and (row.path, row.acceleration) in base]
    return [
        Difference(
            model=model,
            baseline=baseline,
            acceleration=acceleration,
            num_volumes=len(members),
            **_intervals([_subtract(_values(row), base[row.path, acceleration]) for row in members], seed),
        )
        for (acceleration, model), members in _groups(others, lambda row: (row.acceleration, row.model))
    ]


def best_models(rows: Iterable[VolumeScore]) -> dict[float, str]:
    """The model of highest mean SSIM at each acceleration, among those that reconstructed the most volumes."""
    best: dict[float, Summary] = {}
    for entry in summarise(rows):
        leader = best.setdefault(entry.acceleration, entry)
        if (entry.num_volumes, entry.ssim.mean) > (leader.num_volumes, leader.ssim.mean):
            best[entry.acceleration] = entry
    return {acceleration: entry.model for acceleration, entry in best.items()}


def sorted_slices(rows: Iterable[VolumeScore]) -> list[SliceScore]:
    """All slices of all volumes, worst SSIM first; equal ones in the order of path and slice."""
    slices = [
        SliceScore(row=row, slice_index=index, ssim=score)
        for row in sorted(rows, key=lambda row: (row.path, row.acceleration, row.model))
        for index, score in enumerate(row.slice_ssim)
    ]
    return sorted(slices, key=lambda entry: entry.ssim)


def _groups(
    rows: Iterable[VolumeScore], key: Callable[[VolumeScore], tuple[Any, ...]]
) -> list[tuple[tuple[Any, ...], list[VolumeScore]]]:
    # By path within a group, so that intervals do not depend on the order in which folders were found.
    ordered = sorted(rows, key=lambda row: (*key(row), row.path))
    return [(name, list(members)) for name, members in groupby(ordered, key)]


def _values(row: VolumeScore) -> tuple[float, float, float]:
    return row.ssim, row.psnr, row.nmse


def _subtract(values: tuple[float, ...], base: tuple[float, ...]) -> tuple[float, ...]:
    # Two equal volumes have an infinite PSNR each, and no difference.
    return tuple(0.0 if a == b else a - b for a, b in zip(values, base, strict=True))


def _intervals(values: Sequence[tuple[float, ...]], seed: int) -> dict[str, Interval]:
    """Mean and percentile interval of each column of (volume, metric) values: SSIM, PSNR, NMSE."""
    columns = np.array(values, np.float64).T
    picks = np.random.default_rng(seed).integers(0, len(values), (NUM_RESAMPLES, len(values)))
    return {name: _interval(column, picks) for name, column in zip(("ssim", "psnr", "nmse"), columns, strict=True)}


def _interval(values: npt.NDArray[np.float64], picks: npt.NDArray[np.int64]) -> Interval:
    if len(values) == 1:
        return Interval(mean=float(values[0]), low=None, high=None)
    # No interpolation: an infinite PSNR may be among the means.
    low, high = np.quantile(values[picks].mean(1), _TAILS, method="inverted_cdf")
    return Interval(mean=float(values.mean()), low=float(low), high=float(high))
