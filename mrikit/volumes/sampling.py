"""Find out from k-space itself what was sampled."""

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.volumes.volume import SliceArray

MIN_UNSAMPLED = 0.05
"""A smaller share of zeros inside sampled columns is chance: integer data hold a few exact zeros."""


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
