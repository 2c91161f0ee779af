"""Many scores in few numbers: means with confidence intervals, differences between models, slices in order."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Any

from mrikit.evaluate.bootstrap import Interval, resample
from mrikit.evaluate.rows import VolumeScore
from mrikit.evaluate.scorers import SCORERS


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The scores of one run at one acceleration, of one acquisition or of all."""

    label: str
    """As in `VolumeScore`."""
    acceleration: float
    acquisition: str | None
    """None stands for all acquisitions together."""
    num_volumes: int
    num_slices: int
    ssim: Interval
    psnr: Interval
    nmse: Interval
    kspace_nmse: Interval | None = None
    """None unless all its volumes have it."""
    kspace_nmse_of_all: float | None = None
    """Energy of the error of k-space over that of full k-space, of all volumes together; None likewise."""
    banding_db: Interval | None = None
    """Directional excess, above 0 for bands and below for streaks; None likewise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """How much a run differs from another one on the volumes that both reconstructed."""

    label: str
    """As in `VolumeScore`."""
    baseline: str
    """Label of the run that was subtracted."""
    acceleration: float
    num_volumes: int
    ssim: Interval
    psnr: Interval
    nmse: Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Common:
    """The volumes that all runs at one acceleration did, where some did others too."""

    acceleration: float
    scorer: str
    num_volumes: int
    left_out: tuple[tuple[str, int], ...]
    """Label of each run, and how many of its volumes are not among them."""

    @property
    def line(self) -> str:
        """All of it in words."""
        left = ", ".join(f"{number} of {label}" for label, number in self.left_out if number)
        if not self.num_volumes:
            return f"{self.acceleration:g}x: no volume was done by all {len(self.left_out)} models, which did {left}"
        volumes = f"{self.num_volumes} volume{'s' if self.num_volumes > 1 else ''}"
        return f"{self.acceleration:g}x: compared on the {volumes} that all models did; left out are {left}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceScore:
    """One slice of one volume."""

    row: VolumeScore
    slice_index: int
    ssim: float


def summarise(rows: Iterable[VolumeScore], by_acquisition: bool = False, *, seed: int = 0) -> list[Summary]:
    """Means over volumes with 95 % bootstrap confidence intervals, for each run and acceleration.

    Patients are resampled, not volumes: what holds of one volume of a patient mostly holds of the others too.

    Args:
        rows: Scored volumes, labelled.
        by_acquisition: Also tell acquisitions apart; volumes that name none are grouped as `unknown`.
        seed: Of the resampling; the same rows and seed give the same intervals.

    Returns:
        Sorted by acceleration, acquisition and label.

    Source:
        Efron and Tibshirani, An introduction to the bootstrap (1993), chapter 13: the percentile interval.
    """

    def group(row: VolumeScore) -> tuple[float, str, str]:
        return row.acceleration, (row.acquisition or "unknown") if by_acquisition else "", row.label

    return [
        Summary(
            label=label,
            acceleration=acceleration,
            acquisition=acquisition or None,
            num_volumes=len(members),
            num_slices=sum(row.num_slices for row in members),
            kspace_nmse_of_all=_kspace_nmse_of_all(members),
            **_intervals(members, [_values(row) for row in members], seed),
            kspace_nmse=_where_all(members, [row.kspace_nmse for row in members], seed),
            banding_db=_where_all(members, [row.banding_db for row in members], seed),
        )
        for (acceleration, acquisition, label), members in group_rows(rows, group)
    ]


def compare_models(rows: Iterable[VolumeScore], baseline: str, *, seed: int = 0) -> list[Difference]:
    """Each run minus the baseline on the same volumes at the same acceleration, with 95 % confidence intervals.

    Pairing removes what differs between volumes: two runs may differ clearly although their own intervals overlap.

    Args:
        rows: Scored volumes of several runs, labelled.
        baseline: Label of the run to subtract.
        seed: Of the resampling.

    Returns:
        One for each other run and acceleration that share volumes with the baseline.
    """
    rows = list(rows)
    base = {(row.volume, row.acceleration): _values(row) for row in rows if row.label == baseline}
    others = [row for row in rows if row.label != baseline and (row.volume, row.acceleration) in base]
    return [
        Difference(
            label=label,
            baseline=baseline,
            acceleration=acceleration,
            num_volumes=len(members),
            **_intervals(members, [_subtract(_values(row), base[row.volume, acceleration]) for row in members], seed),
        )
        for (acceleration, label), members in group_rows(others, lambda row: (row.acceleration, row.label))
    ]


def compare_to_best(rows: Iterable[VolumeScore]) -> list[Difference]:
    """Each run minus the best one at its acceleration, by `compare_models`."""
    rows = list(rows)
    return [
        difference
        for acceleration, best in best_models(rows).items()
        for difference in compare_models([row for row in rows if row.acceleration == acceleration], best)
    ]


def best_models(rows: Iterable[VolumeScore]) -> dict[float, str]:
    """Label of the run of highest mean SSIM at each acceleration, among those that did the most volumes."""
    best: dict[float, Summary] = {}
    for entry in summarise(rows):
        leader = best.setdefault(entry.acceleration, entry)
        if (entry.num_volumes, entry.ssim.mean) > (leader.num_volumes, leader.ssim.mean):
            best[entry.acceleration] = entry
    return {acceleration: entry.label for acceleration, entry in best.items()}


def same_volumes(rows: Iterable[VolumeScore]) -> list[list[VolumeScore]]:
    """Groups of rows in each of which all runs did the same volumes by one scorer, so that means can be compared.

    One group for each set of volumes that a run did, with the scores on it of every run that did all of the set: where
    a network did the held-out volumes only and other models did all volumes, there is a group of everything on the
    held-out volumes, and one of the other models on all. One more group has all runs on the volumes that all did, or
    where there is none, each pair of runs on theirs.

    Returns:
        Lowest acceleration first, then the group of most runs, then that of most volumes.
    """
    rows = list(rows)
    done: dict[tuple[float, str], dict[str, set[tuple[str, str]]]] = {}
    for row in rows:
        done.setdefault((row.acceleration, row.scorer), {}).setdefault(row.label, set()).add(row.volume)
    groups: list[list[VolumeScore]] = []
    for key, runs in sorted(done.items()):
        found = []
        done_by_one = {frozenset(paths) for paths in runs.values()}
        done_by_all = frozenset.intersection(*done_by_one)
        shared = {done_by_all} if done_by_all else {a & b for a, b in combinations(done_by_one, 2)}
        for paths in (done_by_one | shared) - {frozenset()}:
            labels = {label for label, others in runs.items() if paths <= others}
            members = [
                row
                for row in rows
                if (row.acceleration, row.scorer) == key and row.label in labels and row.volume in paths
            ]
            found.append((-len(labels), -len(paths), min(paths), members))
        groups += [members for *_, members in sorted(found, key=lambda entry: entry[:3])]
    return groups


def common_volumes(rows: Iterable[VolumeScore]) -> list[Common]:
    """For each acceleration and scorer where runs did unequal volumes, what they have in common."""
    done: dict[tuple[float, str], dict[str, set[tuple[str, str]]]] = {}
    for row in rows:
        done.setdefault((row.acceleration, row.scorer), {}).setdefault(row.label, set()).add(row.volume)
    found = []
    for (acceleration, scorer), runs in sorted(done.items()):
        common = set.intersection(*runs.values())
        left_out = tuple((label, len(paths - common)) for label, paths in runs.items())
        if any(number for _, number in left_out):
            found.append(Common(acceleration=acceleration, scorer=scorer, num_volumes=len(common), left_out=left_out))
    return found


def sorted_slices(rows: Iterable[VolumeScore]) -> list[SliceScore]:
    """All slices that count of all volumes, worst SSIM first; equal ones in the order of path and slice."""
    slices = [
        SliceScore(row=row, slice_index=index, ssim=score)
        for row in sorted(_distinct(rows), key=lambda row: (*row.volume, row.acceleration, row.label))
        for index, score in enumerate(row.slice_ssim)
        if score is not None
    ]
    return sorted(slices, key=lambda entry: entry.ssim)


def group_rows(
    rows: Iterable[VolumeScore], key: Callable[[VolumeScore], tuple[Any, ...]]
) -> list[tuple[tuple[Any, ...], list[VolumeScore]]]:
    """Rows of the same key without repetitions, by key; within a group in an order that depends on the rows alone."""
    # By path within a group, so that intervals do not depend on the order in which folders were found.
    ordered = sorted(_distinct(rows), key=lambda row: (*key(row), *row.volume))
    return [(name, list(members)) for name, members in groupby(ordered, key)]


def _distinct(rows: Iterable[VolumeScore]) -> Iterable[VolumeScore]:
    """The rows without repetitions: undersampled data come out the same whatever acceleration was asked for."""
    return {(row.label, row.acceleration, row.volume, row.slice_ssim): row for row in rows}.values()


def _values(row: VolumeScore) -> tuple[float, float, float]:
    return row.ssim, row.psnr, row.nmse


def _subtract(values: tuple[float, ...], base: tuple[float, ...]) -> tuple[float, ...]:
    # Two equal volumes have an infinite PSNR each, and no difference.
    return tuple(0.0 if a == b else a - b for a, b in zip(values, base, strict=True))


def _intervals(members: Sequence[VolumeScore], values: Sequence[tuple[float, ...]], seed: int) -> dict[str, Interval]:
    """Mean and interval of each column of (volume, metric) values: SSIM, PSNR, NMSE."""
    return dict(zip(("ssim", "psnr", "nmse"), _resampled(members, values, seed), strict=True))


def _where_all(members: Sequence[VolumeScore], column: Sequence[float | None], seed: int) -> Interval | None:
    """The same of one column, where all have it."""
    values = [(value,) for value in column if value is not None]
    return _resampled(members, values, seed)[0] if len(values) == len(members) else None


def _resampled(members: Sequence[VolumeScore], values: Sequence[tuple[float, ...]], seed: int) -> list[Interval]:
    patients = [row.patient_id or row.path for row in members]
    weights = [float(row.num_counted) if SCORERS[row.scorer].is_leaderboard else 1.0 for row in members]
    return resample(patients, values, weights, seed)


def _kspace_nmse_of_all(members: Sequence[VolumeScore]) -> float | None:
    """One ratio, in which a bright volume counts more."""
    found = [
        (row.kspace_nmse * row.kspace_energy, row.kspace_energy)
        for row in members
        if row.kspace_nmse is not None and row.kspace_energy is not None
    ]
    if len(found) < len(members):
        return None
    error, energy = (math.fsum(column) for column in zip(*found, strict=True))
    return error / energy if energy else 1.0
