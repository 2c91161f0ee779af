"""Find out from k-space itself what was sampled."""

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.masks import stored_mask
from mrikit.volumes.slice_array import SliceArray
from mrikit.volumes.slices import FileSlices

MIN_UNSAMPLED = 0.05
"""A smaller share of zeros inside sampled columns is chance: integer data hold a few exact zeros."""
_MOST_ZEROS = 0.01  # share of samples of a full scan that may be exactly zero in every coil


def find_sampling(kspace: SliceArray) -> tuple[npt.NDArray[np.bool_] | None, tuple[int, int]]:
    """Which samples were measured, judged from those that are exactly zero in every slice and coil.

    Args:
        kspace: (slice, coil, readout, phase) complex64; read once, one slice at a time.

    Returns:
        A (phase,) or (readout, phase) mask, None if all was measured, and the [left, right) columns that were
        acquired. Zero columns at the sides alone count as zero filling of the scanner, not as undersampling.

    Raises:
        DataError: All values are zero.
    """
    phase = kspace.shape[-1]
    pattern = np.zeros(kspace.shape[2:], bool)
    for one in kspace:
        pattern |= (one != 0).any(axis=0)
    columns = np.asarray(pattern.any(axis=0))
    if not columns.any():
        raise DataError("all of k-space is zero; was the file written completely?")
    if pattern[:, columns].mean() < 1 - MIN_UNSAMPLED:
        return pattern, (0, phase)
    left, right = int(columns.argmax()), phase - int(columns[::-1].argmax())
    if columns[left:right].all() and left <= phase // 2 < right:
        return None, (left, right)
    return columns, (0, phase)


def is_full(kspace: SliceArray, mask: npt.NDArray[np.bool_] | None, padding: tuple[int, int]) -> bool:
    """Whether every column that the scanner acquired was measured.

    A file that stores no mask is not believed: its middle slice must not hold more exact zeros than chance leaves.
    What is zero in every coil is zero in the first, so that this one is enough if it holds few.

    Args:
        kspace: (slice, coil, readout, phase) complex64; of a full one the middle slice is read, or its first coil.
        mask: (phase,) or (readout, phase) as the file stores it; None if it stores none.
        padding: [left, right) columns that were acquired.
    """
    lines = np.ones(kspace.shape[-1], np.bool_) if mask is None else mask
    if stored_mask(lines, padding).kind != "full":
        return False
    acquired, middle = slice(*padding), len(kspace) // 2
    if isinstance(kspace, FileSlices) and _is_dense(kspace.first_part(middle)[None, ..., acquired]):
        return True
    return _is_dense(kspace[middle][..., acquired])


def _is_dense(kspace: npt.NDArray[np.complex64]) -> bool:
    """Whether few samples of (coil, readout, phase) are zero in every coil."""
    return bool((kspace == 0).all(axis=0).mean() < _MOST_ZEROS)
