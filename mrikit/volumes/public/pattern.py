"""What one slice of k-space tells about how its volume was sampled."""

import numpy as np
import numpy.typing as npt

from mrikit.volumes.sampling import MIN_UNSAMPLED

_MOST_HOLES = 0.01  # share of samples between measured ones that may be exactly zero in every coil


def measured_mask(kspace: npt.NDArray[np.complexfloating]) -> npt.NDArray[np.bool_] | None:
    """The mask of undersampled k-space; None where nothing is missing between what was measured.

    Zeros around what was measured, as of an ellipse or a partial acquisition, are no undersampling.

    Args:
        kspace: (coil, readout, phase) complex, one slice.

    Returns:
        (phase,) bool where whole columns were left out, else (readout, phase) bool.
    """
    pattern = (kspace != 0).any(axis=0)
    columns = pattern.any(axis=0)
    has_whole_columns = bool(columns.any()) and pattern[:, columns].mean() > 1 - MIN_UNSAMPLED
    if has_whole_columns:
        return columns if _has_holes(columns[None]) else None
    return pattern if _has_holes(pattern) or _has_holes(pattern.T) else None


def _has_holes(pattern: npt.NDArray[np.bool_]) -> bool:
    """Whether samples are missing between the first and the last measured one of the rows."""
    after_first = np.logical_or.accumulate(pattern, axis=1)
    before_last = np.logical_or.accumulate(pattern[:, ::-1], axis=1)[:, ::-1]
    inside = after_first & before_last
    return bool((inside & ~pattern).sum() > _MOST_HOLES * inside.sum())
