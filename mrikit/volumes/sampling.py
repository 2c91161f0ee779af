"""What of k-space was acquired, and what of that was measured: decided here alone.

Zeros tell. A scanner fills what it does not acquire with them: columns at the sides (partial Fourier, a matrix that is
larger than the scan), rows at an end (asymmetric echo), corners (elliptical scans). What is left has no gaps in its
rows and columns, and holds the centre. Zeros between measured samples are undersampling.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.masks import AcquiredRegion
from mrikit.volumes.slice_array import SliceArray
from mrikit.volumes.slices import FileSlices

MIN_UNSAMPLED = 0.05
"""A smaller share of zeros between measured samples is chance: integer data hold a few exact zeros."""
_MOST_ZEROS = 0.01  # share of a coil that may be zero by chance, and of a rectangle that corners may lack unnoticed
_NUM_REGULAR, _FEWEST_EMPTY = 3, 4  # equal steps between lines, and zero lines beyond, that tell where a scan ends
_FEWEST_CORNERS = 10  # samples that a pattern over a rectangle would have beyond the ellipse, where it has none
_ELLIPSES = (0.9, 1.1)  # radius of an elliptical scan in the acquired rectangle, whose border few samples may touch

Bools = npt.NDArray[np.bool_]


class Sampling(NamedTuple):
    """How a scan was sampled."""

    region: AcquiredRegion
    """What the scanner acquired."""
    samples: Bools | None
    """(phase,) or (readout, phase) bool, True where it measured; None if it measured the whole region."""


def find_sampling(kspace: SliceArray, claim: tuple[int, int] | None = None) -> Sampling:
    """How k-space without a mask was sampled, judged from all slices and coils.

    Args:
        kspace: (slice, coil, readout, phase) complex64; read once, one slice at a time.
        claim: [left, right) columns that a header says were acquired; all of them if there is none.

    Raises:
        DataError: All values are zero.
    """
    pattern = np.zeros(kspace.shape[2:], bool)
    for one in kspace:
        pattern |= (one != 0).any(axis=0)
    return judge(pattern, None, claim or (0, kspace.shape[-1]))


def look(kspace: SliceArray, first: npt.NDArray[np.complex64], mask: Bools | None, claim: tuple[int, int]) -> Sampling:
    """How a volume was sampled, judged from its middle slice, or the next one that is not zero everywhere.

    What is zero in every coil is zero in the first, so that this one is enough where it holds few zeros.

    Args:
        kspace: (slice, coil, readout, phase) complex64.
        first: (readout, phase) complex64, the first coil of the middle slice; see `first_coil`.
        mask: (phase,) or (readout, phase) bool that the file stores; None if it stores none.
        claim: [left, right) columns that the header says were acquired.

    Raises:
        DataError: All values are zero where something was measured, or the slice cannot be read.
    """
    middle = len(kspace) // 2
    sampled = _claimed(first.shape, mask, claim)
    nonzero = first != 0
    # Zero lines at an edge may be those of a quiet coil.
    if _is_dense(nonzero[sampled], _MOST_ZEROS) and _same_lines(nonzero & sampled, sampled):
        return judge(nonzero, mask, claim)
    for slice_index in (middle, *range(middle + 1, len(kspace)), *range(middle)):
        nonzero = (kspace[slice_index] != 0).any(axis=0)
        if nonzero.any():
            break
    return judge(nonzero, mask, claim)


def first_coil(kspace: SliceArray) -> npt.NDArray[np.complex64]:
    """(readout, phase) complex64 of the middle slice, read alone where the file allows it."""
    middle = len(kspace) // 2
    found: npt.NDArray[np.complex64] = (
        kspace.first_part(middle) if isinstance(kspace, FileSlices) else kspace[middle][0]
    )
    return found


def sampled_in(kspace: npt.NDArray[np.complexfloating]) -> Bools | None:
    """What one slice tells of a volume whose file stores no mask, as `Sampling.samples`.

    Args:
        kspace: (coil, readout, phase) complex.

    Raises:
        DataError: All values are zero.
    """
    return judge((kspace != 0).any(axis=0), None, (0, kspace.shape[-1])).samples


def judge(nonzero: Bools, mask: Bools | None, claim: tuple[int, int]) -> Sampling:
    """What was acquired and measured, from where k-space is not zero.

    A stored mask that leaves something out is believed. Any other file measured all that it acquired unless there are
    zeros between: these then are the mask.

    Args:
        nonzero: (readout, phase) bool, True where any coil is not zero.
        mask: As for `look`.
        claim: As for `look`; no header says more than all columns.

    Raises:
        DataError: Everything is zero where something was measured.
    """
    sampled = _claimed(nonzero.shape, mask, claim)
    if not (nonzero & sampled).any():
        where = f" in what mask and header, columns [{claim[0]}, {claim[1]}), say was measured" if nonzero.any() else ""
        what = f"all of k-space is zero{where}"
        raise DataError(f"{what}; was the file written completely? Copy it again, or leave it out")
    full = _claimed(nonzero.shape, None, claim)
    is_masked = not sampled[full].all()
    whole = AcquiredRegion.whole((nonzero.shape[0], nonzero.shape[1]), claim)
    if not is_masked and nonzero[full].all() and whole.has_center:  # as nearly all are
        return Sampling(whole, None)
    region = _region(sampled, nonzero & sampled, claim, is_pattern=is_masked and mask is not None and mask.ndim > 1)
    if not (is_masked and mask is not None and mask.ndim == 1) and _fills(nonzero & sampled, region, sampled):
        return Sampling(region, None)
    if is_masked:
        return Sampling(region, mask)
    return _told_by_data(nonzero & full, claim)


def can_be_full(mask: Bools | None, claim: tuple[int, int]) -> bool:
    """Whether `judge` may find a file with this mask fully sampled; where not, nothing has to be read to know."""
    if mask is None or mask[..., slice(*claim)].all():
        return True
    return mask.ndim > 1 and bool(mask[:, slice(*claim)].mean() > _ELLIPSES[0] ** 2 * np.pi / 4 - _MOST_ZEROS)


def _claimed(shape: tuple[int, ...], mask: Bools | None, claim: tuple[int, int]) -> Bools:
    """(readout, phase) bool: what mask and header say was measured."""
    claimed = np.zeros(shape, bool)
    claimed[:, slice(*claim)] = True if mask is None else np.broadcast_to(mask, shape)[:, slice(*claim)]
    return claimed


def _told_by_data(measured: Bools, claim: tuple[int, int]) -> Sampling:
    """Of undersampled k-space without a mask: lines where whole ones are missing, else a pattern."""
    lines = np.asarray(measured.any(axis=0))
    region = _region(measured, measured, claim, is_pattern=False, is_told=True)
    if not lines[slice(*region.columns)].all() and _is_dense(measured[slice(*region.rows)][:, lines], MIN_UNSAMPLED):
        return Sampling(region, lines)
    return Sampling(_region(measured, measured, claim, is_pattern=True, is_told=True), measured)


def _region(
    sampled: Bools, measured: Bools, claim: tuple[int, int], *, is_pattern: bool, is_told: bool = False
) -> AcquiredRegion:
    """What was acquired, from where measurements were expected and where they were found.

    Args:
        sampled: (readout, phase) bool by mask and header.
        measured: The same where k-space is not zero.
        claim: Columns by the header.
        is_pattern: Whether samples are left out one by one, not by lines.
        is_told: Whether `sampled` is no more than `measured`.
    """
    size, width = sampled.shape
    (top, bottom), (left, right) = (
        _edges(np.asarray(sampled.any(axis=axis)), np.asarray(measured.any(axis=axis)), ends, is_told=is_told)
        for axis, ends in ((1, (0, size)), (0, claim))
    )
    region = AcquiredRegion(matrix=(size, width), rows=(top, bottom), columns=(left, right))
    if not region.has_center:  # no scanner leaves the centre out, so that these zeros say nothing of it
        return AcquiredRegion.whole((size, width), claim)
    inside = measured & region.samples()
    if sampled[region.samples()].all():
        outline = _outline(inside)
        is_smaller = outline.sum() < (1 - _MOST_ZEROS) * region.num_samples
    elif is_pattern:
        outline, filled = _ellipse(inside, region), _outline(inside)
        num_corners = region.num_samples - outline.sum()
        is_smaller = inside.sum() / outline.sum() * num_corners > _FEWEST_CORNERS
        if _is_dense(inside[filled], MIN_UNSAMPLED) and filled.sum() > (1 - MIN_UNSAMPLED) * outline.sum():
            outline = filled  # nothing is left out but the corners: then they are known exactly
    else:
        return region
    shaped = AcquiredRegion.around(outline)
    return shaped if is_smaller and shaped.has_center else region


def _edges(sampled: Bools, measured: Bools, claim: tuple[int, int], *, is_told: bool) -> tuple[int, int]:
    """[first, last) lines that were acquired: of the claim without the outer ones that are zero although sampled."""
    places = np.flatnonzero(measured)
    if is_told:
        sampled = sampled | _empty_sides(measured, *claim)
    empty = np.flatnonzero(sampled & ~measured)
    before, after = empty[empty < places[0]], empty[empty > places[-1]]
    left, right = int(before.max(initial=claim[0] - 1)) + 1, int(after.min(initial=claim[1]))
    filled = max(left - claim[0], claim[1] - right)
    # Where no line was measured the zeros may reach further in; most scanners fill both sides alike.
    if claim[0] < left and right < claim[1] and claim[0] + filled <= places[0] and places[-1] < claim[1] - filled:
        return claim[0] + filled, claim[1] - filled
    return left, right


def _empty_sides(measured: Bools, first: int, last: int) -> Bools:
    """Lines at the sides of [first, last) that so regular a scan would have measured had it acquired them."""
    places = np.flatnonzero(measured)
    sides = np.zeros_like(measured)
    for steps, num_empty, side in (
        (np.diff(places)[:_NUM_REGULAR], places[0] - first, slice(first, places[0])),
        (np.diff(places)[-_NUM_REGULAR:], last - 1 - places[-1], slice(places[-1] + 1, last)),
    ):
        # Lines at random, or fewer and fewer of them towards the side, tell nothing of where the scan ends.
        if len(steps) == _NUM_REGULAR and (steps == np.diff(places).max()).all():
            sides[side] = num_empty >= max(2 * steps[0], _FEWEST_EMPTY)
    return sides


def _outline(measured: Bools) -> Bools:
    """What lies between measured samples of a row or a column, so that single zeros leave no hole."""
    return _between(_between(measured, 0) | _between(measured, 1), 1)


def _between(values: Bools, axis: int) -> Bools:
    """True from the first to the last True along the axis."""
    reverse = np.flip(np.logical_or.accumulate(np.flip(values, axis), axis), axis)
    return np.asarray(np.logical_or.accumulate(values, axis) & reverse)


def _ellipse(measured: Bools, region: AcquiredRegion) -> Bools:
    """The smallest ellipse of the region's shape that holds all samples, or the region where they make none."""
    rows, columns = (
        (np.arange(size) - (first + last - 1) / 2) / ((last - first) / 2)
        for size, (first, last) in zip(measured.shape, (region.rows, region.columns), strict=True)
    )
    distance = np.hypot(rows[:, None], columns)
    radius = distance[measured].max()
    inside = region.samples()
    return np.asarray(inside & (distance <= radius)) if _ELLIPSES[0] <= radius <= _ELLIPSES[1] else inside


def _fills(measured: Bools, region: AcquiredRegion, sampled: Bools) -> bool:
    """Whether all of the region was measured, but for single zeros."""
    inside = region.samples()
    return bool(
        region.has_center
        and sampled[inside].all()
        and _is_dense(measured[inside], MIN_UNSAMPLED)
        and _same_lines(measured & inside, inside)
    )


def _is_dense(measured: Bools, most_zeros: float) -> bool:
    return measured.size > 0 and bool(measured.mean() > 1 - most_zeros)


def _same_lines(one: Bools, other: Bools) -> bool:
    """Whether both have something in the same rows and the same columns."""
    return all(np.array_equal(one.any(axis=axis), other.any(axis=axis)) for axis in (0, 1))
