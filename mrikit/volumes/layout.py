"""Where the energy of k-space lies, and whether that is where it should."""

import numpy as np
import numpy.typing as npt

FEWEST_LINES = 16
"""Fewer lines have no clear peak."""
SHARP = 10.0
"""Energy of the strongest line in units of the median line, from where on it is a peak. Noise stays below 2, images
reach 100 and more."""


def energy_of_lines(lines: npt.NDArray[np.complex64]) -> npt.NDArray[np.float64]:
    """(line,) energy of each line; the strongest sample of each coil is left out, because it may be a spike.

    Args:
        lines: (line, coil, sample) complex64.
    """
    power = np.square(lines.real, dtype=np.float64) + np.square(lines.imag, dtype=np.float64)
    return np.asarray(np.nan_to_num((power.sum(-1) - power.max(-1)).sum(-1)))


def sharp_peak(energy: npt.NDArray[np.float64]) -> int | None:
    """The place of the one peak of an energy profile; None where there is no clear one.

    Args:
        energy: (line,) of lines that were measured.
    """
    if len(energy) < FEWEST_LINES:
        return None
    peak = int(energy.argmax())
    return peak if energy[peak] > SHARP * np.median(energy) else None


def energy_center(kspace: npt.NDArray[np.complex64]) -> tuple[int, int] | None:
    """(readout, phase) where the energy of a slice has its peak; None where it has no clear one.

    Args:
        kspace: (coil, readout, phase) complex64; lines that are zero everywhere are passed over.
    """
    found = []
    for axis in (1, 2):
        energy = energy_of_lines(np.moveaxis(kspace, axis, 0).reshape(kspace.shape[axis], kspace.shape[0], -1))
        measured = np.flatnonzero(energy)
        peak = sharp_peak(energy[measured])
        if peak is None:
            return None
        found.append(int(measured[peak]))
    return found[0], found[1]


def is_in_corner(center: tuple[int, int], matrix: tuple[int, int]) -> bool:
    """Whether a centre lies in the corner, as `fft2` without `fftshift` leaves it."""
    return all(min(place, size - place) <= 1 < size // 4 for place, size in zip(center, matrix, strict=True))


def off_center(center: tuple[int, int], matrix: tuple[int, int]) -> tuple[int, int]:
    """How many samples and columns a centre lies away from the middle of the matrix."""
    return center[0] - matrix[0] // 2, center[1] - matrix[1] // 2


def is_far(distance: int, size: int) -> bool:
    """Whether an offset is more than an object's own phase makes: field inhomogeneity moves echoes by a few lines."""
    return abs(distance) > max(2, size // 32)
