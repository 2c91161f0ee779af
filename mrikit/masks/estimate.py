"""What a stored mask says about itself: its centre block and its acceleration."""

import numpy as np
import numpy.typing as npt

from mrikit.masks.acquired import AcquiredRegion
from mrikit.masks.mask import Mask, acquired_over_measured, center_of, center_size, cut, measured

_FEWEST_GAPS = 2  # a single one says nothing about the others


def stored_mask(samples: npt.NDArray[np.bool_], region: AcquiredRegion | None = None) -> Mask:
    """A Mask from the samples of a file, its centre and nominal acceleration estimated.

    The centre is the widest sampled block that is placed as mask functions place it; 0 where the middle is not
    sampled. A mask whose outer lines have a constant distance R, such as `equispaced`, `magic` or `fixed`, or one line
    at a random place in every R columns (`random_spaced`), was drawn with acceleration R; any other, such as `random`
    or `equispaced_fraction`, with about the overall one. For a `magic_fraction` mask, and the rare
    `equispaced_fraction` mask that comes out regular, R is the distance that it was stretched to.

    Args:
        samples: (phase,) or (readout, phase) bool.
        region: What the scanner acquired; everything if None.

    Returns:
        A Mask of kind `full` or `stored`.

    Raises:
        DataError: Nothing is sampled.
    """
    matrix = (samples.shape[0] if samples.ndim > 1 else 1, samples.shape[-1])
    region = region or AcquiredRegion.whole(matrix)
    inside = cut(samples, region)
    is_full = bool(inside.any()) and acquired_over_measured(inside, region) == 1
    return measured(
        inside,
        kind="full" if is_full else "stored",
        acceleration=1.0 if is_full else _acceleration(inside, region),
        num_center_lines=center_size(inside),
        region=region,
        center=center_of(inside) if inside.ndim > 1 else None,
    )


def _acceleration(samples: npt.NDArray[np.bool_], region: AcquiredRegion) -> float:
    regular = None
    if samples.ndim == 1:
        regular = _constant_gap(samples) or _bin_width(samples, *region.columns)
    return float(regular or (acquired_over_measured(samples, region) if samples.any() else 1))


def _constant_gap(lines: npt.NDArray[np.bool_]) -> int | None:
    """The distance of the lines outside the centre, if it is always the same."""
    first, last = _center_run(lines)
    sampled = np.flatnonzero(lines)
    gaps = np.concatenate((np.diff(sampled[sampled < first]), np.diff(sampled[sampled >= last])))
    return int(gaps[0]) if len(gaps) >= _FEWEST_GAPS and (gaps == gaps[0]).all() else None


def _bin_width(lines: npt.NDArray[np.bool_], left: int, right: int) -> int | None:
    """The R for which every R columns outside the centre hold one line at a random place; None if there is none."""
    first, last = _center_run(lines)
    is_outer_column = np.ones(len(lines), np.bool_)
    is_outer_column[first:last] = False
    density = is_outer_column[left:right].sum() / max(lines[is_outer_column].sum(), 1)
    fitting = [
        width for width in range(2, len(lines) // 2) if _fills_bins(lines, width, is_outer_column, (left, right))
    ]
    # In a narrow mask a neighbour of R may fit too, by chance.
    return min(fitting, key=lambda width: abs(width - density), default=None)


def _fills_bins(
    lines: npt.NDArray[np.bool_], width: int, is_outer_column: npt.NDArray[np.bool_], acquired: tuple[int, int]
) -> bool:
    """Whether every whole bin of `width` outer columns holds one line, and not always a little further on."""
    starts = np.arange(0, len(lines) - width, width)  # the last column is in none: some masks never sample it
    starts = starts[(starts >= acquired[0]) & (starts + width <= acquired[1])]
    starts = np.array([start for start in starts if is_outer_column[start : start + width].all()], np.int64)
    if len(starts) <= _FEWEST_GAPS or any(lines[start : start + width].sum() != 1 for start in starts):
        return False
    places = np.array([lines[start : start + width].argmax() for start in starts])
    # Lines at an even, fractional distance move to one side only, from a bin to the next.
    moves = np.diff(places)[np.diff(starts) == width]
    return bool((moves > 0).any() and (moves < 0).any())


def _center_run(lines: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """[first, last) of the sampled run that holds the middle column; empty if that is not sampled."""
    middle = lines.shape[0] // 2
    first = last = middle
    while last < lines.shape[0] and lines[last]:
        last += 1
    while first > 0 and last > middle and lines[first - 1]:
        first -= 1
    return first, last
