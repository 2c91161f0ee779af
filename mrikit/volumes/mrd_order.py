"""Slices of an MRD scan: their order in space, and the lines that they share."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError

_PARALLEL = 1e-2
"""Slices whose directions differ by more are not parallel, and have no order in space."""
_APART_MM = 0.1
"""Slices that lie closer are at one place."""
_MOST_LEFT_OUT = 0.5
"""Share of slices that may lack lines and are left out; where more do, the scan is sampled so on purpose."""


def in_space(
    head: npt.NDArray[np.void], rows_of_slice: Sequence[npt.NDArray[np.int64]]
) -> tuple[list[npt.NDArray[np.int64]], list[str]]:
    """Slices in the order of their positions, where their counter goes another way.

    Positions that are missing, shared or not of parallel slices leave the counter's order.

    Args:
        head: Acquisition headers.
        rows_of_slice: For each slice the rows of `head`, in the order of the counter.

    Returns:
        The same in space order, and a line that says so if that is another one.
    """
    slices = list(rows_of_slice)
    first = head[np.array([rows[0] for rows in slices])]
    normals, positions = first["slice_dir"].astype(np.float64), first["position"].astype(np.float64)
    if len(slices) < 3 or np.ptp(normals, axis=0).max() > _PARALLEL or not normals[0].any():
        return slices, []
    places = positions @ normals[0]
    order = np.argsort(places, kind="stable")
    steps = np.diff(places)
    # Two directions are alike to neighbours, so that either stays.
    if np.diff(places[order]).min() < _APART_MM or (steps > 0).all() or (steps < 0).all():
        return slices, []
    said = f"{len(slices)} slices are counted in another order than they lie in space; they are sorted by position"
    return [slices[place] for place in order], [said]


def common_lines(sampled: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], list[str]]:
    """Which slices and which lines are used, because one mask holds for a volume.

    Few slices that lack lines of the others are left out. Where no set of lines is that of at least half of the slices,
    as in masks that change from slice to slice, all slices keep the lines that they share.

    Args:
        sampled: (slice, phase) bool.

    Returns:
        Numbers of the slices, the (phase,) mask, and what is left out, a line each.

    Raises:
        DataError: Slices share too few lines.
    """
    patterns, counts = np.unique(sampled, axis=0, return_counts=True)
    everything = np.arange(len(sampled))
    if len(patterns) == 1:
        return everything, sampled[0], []
    # Of equally frequent ones that with more lines.
    best = max(range(len(patterns)), key=lambda number: (counts[number], patterns[number].sum()))
    mask = patterns[best]
    has_all = (sampled | ~mask).all(axis=1)
    if has_all.mean() >= _MOST_LEFT_OUT:
        lacking = {int(number): int((mask & ~sampled[number]).sum()) for number in everything[~has_all]}
        said = []
        if lacking:
            words = ", ".join(f"slice {number} lacks {count}" for number, count in lacking.items())
            said.append(f"{len(lacking)} of {len(sampled)} slices are left out: {words} of {mask.sum()} lines")
        if num_more := int((sampled[has_all] & ~mask).sum()):
            said.append(f"{num_more} lines are left out; other slices do not have them")
        return everything[has_all], mask, said
    common = np.asarray(sampled.all(axis=0))
    fewest, most = int(sampled.sum(1).min()), int(sampled.sum(1).max())
    if common.sum() < _MOST_LEFT_OUT * fewest:
        raise DataError(
            f"slices are sampled differently: {fewest} to {most} lines each, {common.sum()} of them in all slices; one "
            "mask for all slices is needed. Split the file by slice"
        )
    shared = f"slices are sampled differently, {fewest} to {most} lines each; the {common.sum()} that all have are used"
    return everything, common, [shared]
