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


def energy_profiles(kspace: npt.NDArray[np.complex64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(readout,) and (phase,) energy of a slice, each with sum 1 so that slices can be added.

    Args:
        kspace: (coil, readout, phase) complex64.
    """
    rows = energy_of_lines(np.moveaxis(kspace, 1, 0))
    columns = energy_of_lines(np.moveaxis(kspace, 2, 0))
    return rows / (rows.sum() or 1.0), columns / (columns.sum() or 1.0)


def energy_center(profiles: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]) -> tuple[int, int] | None:
    """(readout, phase) where the energy has its peak; None where it has no clear one.

    Args:
        profiles: Of a slice, or the sum of those of many; what is zero everywhere was not measured.
    """
    found = []
    for energy in profiles:
        measured = np.flatnonzero(energy)
        peak = sharp_peak(energy[measured])
        if peak is None:
            return None
        found.append(int(measured[peak]))
    return found[0], found[1]


def misplaced(center: tuple[int, int], matrix: tuple[int, int]) -> str | None:
    """What is wrong with a centre of energy that lies elsewhere than in the middle; None if nothing is."""
    if all(min(place, size - place) <= 1 for place, size in zip(center, matrix, strict=True)):
        return "the k-space centre lies in the corner, as a Fourier transform leaves it that is not shifted"
    axes = zip(("readout", "phase"), center, matrix, strict=True)
    off = [
        f"{name} {place} instead of {size // 2} of {size}"
        for name, place, size in axes
        if is_far(place - size // 2, size)
    ]
    return f"the energy of k-space has its peak at {' and '.join(off)}" if off else None


def is_far(distance: int, size: int) -> bool:
    """Whether an offset is more than an object's own phase makes: field inhomogeneity moves echoes by a few lines."""
    return abs(distance) > max(2, size // 32)
