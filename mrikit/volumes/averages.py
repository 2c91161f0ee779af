"""Averages of the same lines, turned into phase before they are added."""

import numpy as np
import numpy.typing as npt

NEAR_CENTER = 8
"""Lines on either side of the k-space centre that tell the phase of an average: nearly all energy is there."""
SMALLEST_PHASE = 0.1
"""Radian. Averages this close are in phase: adding them loses no more than 0.1 % of the signal."""


def average_lines(
    lines: npt.NDArray[np.complex64], columns: npt.NDArray[np.int64], num_columns: int
) -> npt.NDArray[np.complex64]:
    """(column, coil, sample) mean of the lines of each column; zero where there is none.

    Args:
        lines: (line, coil, sample) complex64, in phase.
        columns: (line,) column of each.
        num_columns: Columns of the result.
    """
    total = np.zeros((num_columns, *lines.shape[1:]), np.complex64)
    count = np.bincount(columns, minlength=num_columns)
    if count.max(initial=0) <= 1:
        total[columns] = lines
        return total
    np.add.at(total, columns, lines)
    total /= np.maximum(count, 1).astype(np.float32)[:, None, None]
    return total


def phases_of(
    lines: npt.NDArray[np.complex64],
    columns: npt.NDArray[np.int64],
    averages: npt.NDArray[np.int64],
    center: int,
) -> dict[int, float]:
    """The phase of each average relative to the first, radian; 0 where it is small or cannot be told.

    Averages of the same lines are compared line by line. Where two hold alternating lines, each line is compared with
    its two neighbours: the object's own phase step between lines has opposite signs there and drops out.

    Args:
        lines: (line, coil, sample) complex64.
        columns: (line,) column of each.
        averages: (line,) average of each.
        center: Column of the k-space centre.
    """
    is_near = np.abs(columns - center) <= NEAR_CENTER
    numbers = np.unique(averages)
    parts = {number: _by_column(lines, columns, is_near & (averages == number)) for number in numbers.tolist()}
    first = parts[int(numbers[0])]
    found = {}
    for number, part in parts.items():
        shared = [(line, first[column]) for column, line in part.items() if column in first]
        between = [
            (line, first[column - 1] + first[column + 1])
            for column, line in part.items()
            if column - 1 in first and column + 1 in first
        ]
        product = sum((complex(np.vdot(other, line)) for line, other in shared or between), 0j)
        phase = float(np.angle(product))
        found[number] = phase if abs(phase) > SMALLEST_PHASE else 0.0
    return found


def in_phase(
    lines: npt.NDArray[np.complex64],
    columns: npt.NDArray[np.int64],
    averages: npt.NDArray[np.int64],
    center: int,
) -> npt.NDArray[np.complex64]:
    """The lines, each turned back by the phase of its average; the same array where all are in phase."""
    phases = phases_of(lines, columns, averages, center)
    if not any(phases.values()):
        return lines
    back = np.exp(-1j * np.array([phases[number] for number in averages.tolist()])).astype(np.complex64)
    return lines * back[:, None, None]


def _by_column(
    lines: npt.NDArray[np.complex64], columns: npt.NDArray[np.int64], is_wanted: npt.NDArray[np.bool_]
) -> dict[int, npt.NDArray[np.complex64]]:
    return {int(columns[row]): lines[row] for row in np.flatnonzero(is_wanted)}
