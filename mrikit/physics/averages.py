"""Averages of one scan combined into one k-space."""

import numpy as np
import numpy.typing as npt

IN_PHASE_RAD = 0.1
"""Averages that differ less are in phase: a tenth of a radian costs a thousandth of the signal."""
_MIN_COHERENCE = 0.3  # below it two averages share too little signal for an angle between them


def combine_averages(
    kspace: npt.NDArray[np.complexfloating],
) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.float64]]:
    """The mean of what each average measured; averages that are out of phase are turned first.

    An average measured what is not zero in every coil. A sample of several averages is their mean, a sample of one
    average is taken as it is. Each average is compared with the mean of those before it, where both measured.

    Args:
        kspace: (average, coil, readout, phase) complex, one slice.

    Returns:
        (coil, readout, phase) complex64, and the (average,) angles in rad by which each average was turned; 0 for one
        that is in phase, or shares no sample with those before it.
    """
    total = np.zeros(kspace.shape[1:], np.complex64)
    count = np.zeros(kspace.shape[2:], np.float32)
    angles = np.zeros(len(kspace))
    for number, one in enumerate(kspace):
        measured = (one != 0).any(axis=0)
        angles[number] = _angle(one[:, measured & (count > 0)], total[:, measured & (count > 0)])
        # Added as it is unless it must be turned, so that averages in phase stay exact.
        total += one * np.complex64(np.exp(1j * angles[number])) if angles[number] else one
        count += measured
    total /= np.maximum(count, 1)
    return total, angles


def _angle(one: npt.NDArray[np.complexfloating], others: npt.NDArray[np.complex64]) -> float:
    """The angle in rad that brings one average into phase with the others; 0 where they are, or it is unknown."""
    overlap = complex(np.vdot(one, others))
    size = float(np.linalg.norm(one)) * float(np.linalg.norm(others))
    if abs(overlap) <= _MIN_COHERENCE * size or abs(np.angle(overlap)) < IN_PHASE_RAD:
        return 0.0
    return float(np.angle(overlap))
