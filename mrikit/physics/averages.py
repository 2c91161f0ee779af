"""Averages of the same lines, turned into phase before they are added."""

import numpy as np
import numpy.typing as npt

NEAR_CENTER = 8
"""Lines on either side of the k-space centre that tell the phase of an average: nearly all energy is there."""
SMALLEST_PHASE = 0.1
"""Radian. Averages this close are in phase: adding them loses no more than 0.1 % of the signal."""
_MIN_COHERENCE = 0.3  # below it two averages share too little signal for an angle between them


def combine_averages(
    kspace: npt.NDArray[np.complexfloating],
) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.float64]]:
    """The mean of what each average measured; averages that are out of phase are turned first.

    An average measured what is not zero in every coil. A sample of several averages is their mean, a sample of one
    average is taken as it is.

    Args:
        kspace: (average, coil, readout, phase) complex, one slice.

    Returns:
        (coil, readout, phase) complex64, and the (average,) angles in rad by which each average was turned; 0 for one
        that is in phase, or whose phase cannot be told.
    """
    num_averages, *_, phase = kspace.shape
    averages, columns = np.nonzero((kspace != 0).any(axis=(1, 2)))
    near = np.flatnonzero(np.abs(columns - phase // 2) <= NEAR_CENTER)
    averages, columns = averages[near], columns[near]
    phases = phases_of(kspace[averages, ..., columns], columns, averages, phase // 2)
    angles = np.array([-phases.get(number, 0.0) for number in range(num_averages)])
    total = np.zeros(kspace.shape[1:], np.complex64)
    count = np.zeros(kspace.shape[2:], np.float32)
    for one, angle in zip(kspace, angles, strict=True):
        # Added as it is unless it must be turned, so that averages in phase stay exact.
        total += one * np.complex64(np.exp(1j * angle)) if angle else one
        count += (one != 0).any(axis=0)
    total /= np.maximum(count, 1)
    return total, angles


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
    """The phase of each average relative to the first of them, radian; 0 where it is small or cannot be told.

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
    found: dict[int, float] = {}
    first = next(iter(parts.values()), {})
    for number, part in parts.items():
        shared = [(line, first[column]) for column, line in part.items() if column in first]
        between = [
            (line, first[column - 1] + first[column + 1])
            for column, line in part.items()
            if column - 1 in first and column + 1 in first
        ]
        ours, others = (np.array([pair[side] for pair in shared or between]) for side in (0, 1))
        product = complex(np.vdot(others, ours))
        is_told = abs(product) > _MIN_COHERENCE * float(np.linalg.norm(ours) * np.linalg.norm(others))
        phase = float(np.angle(product))
        found[number] = phase if is_told and abs(phase) > SMALLEST_PHASE else 0.0
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
