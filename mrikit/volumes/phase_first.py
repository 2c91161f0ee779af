"""Arrays of fastMRI's layout whose phase axis comes before the readout."""

from dataclasses import replace
from typing import NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.volumes.slices import FileSlices

MAY_COME_FIRST = "its phase axis may come first"
"""What the notes of a volume say whose axes nobody knows."""


class PhaseFirst(NamedTuple):
    """A hint that an array is (..., phase, readout)."""

    is_certain: bool
    words: str
    """What to say about it."""


def phase_first(stored: tuple[int, ...], encoded: tuple[int, ...]) -> PhaseFirst | None:
    """Whether the last two axes of an array seem to be phase and readout.

    Args:
        stored: Sizes of the last two axes.
        encoded: (readout, phase) size by the header.

    Returns:
        None where the first of them can be the readout. Certain where both fit the other way round alone.
    """
    (rows, columns), (readout, phase) = stored, encoded
    if rows == readout or columns != readout:
        return None
    sizes = f"the array is {rows} x {columns}, and the header has readout {readout} and phase {phase}"
    if rows == phase:
        return PhaseFirst(True, f"{sizes}: its phase axis comes first, and is transposed")
    return PhaseFirst(False, f"{sizes}: {MAY_COME_FIRST}; it is taken as it is, with the phase axis last")


def transposed(slices: FileSlices) -> FileSlices:
    """The same array with its last two axes exchanged when a slice is read."""
    return replace(slices, shape=(*slices.shape[:-2], slices.shape[-1], slices.shape[-2]), is_phase_first=True)


def is_reference_transposed(file: h5py.File, reference: FileSlices) -> bool:
    """Whether a stored image has the axes of the array beside it, whose phase axis comes first.

    The images of the middle slice decide, because a square window looks the same both ways.
    """
    middle = len(reference) // 2
    stored = np.asarray(file[reference.key][middle], np.float64)
    image = _rss(np.asarray(file["kspace"][middle], np.complex64))
    return _likeness(image, stored) >= _likeness(image.T, stored)


def _rss(kspace: npt.NDArray[np.complex64]) -> npt.NDArray[np.float64]:
    """(y, x) of a (..., readout, phase) slice."""
    shifted = np.fft.ifft2(np.fft.ifftshift(kspace, axes=(-2, -1)), norm="ortho")
    coils = np.fft.fftshift(np.abs(shifted), axes=(-2, -1)).reshape(-1, *kspace.shape[-2:])
    return np.asarray(np.sqrt(np.square(coils, dtype=np.float64).sum(0)))


def _likeness(image: npt.NDArray[np.float64], stored: npt.NDArray[np.float64]) -> float:
    """Correlation of the stored image with the middle of another; -1 where it does not fit into it."""
    if any(size > full for size, full in zip(stored.shape, image.shape, strict=True)):
        return -1.0
    first = [(full - size) // 2 for size, full in zip(stored.shape, image.shape, strict=True)]
    window = image[first[0] : first[0] + stored.shape[0], first[1] : first[1] + stored.shape[1]]
    norm = np.linalg.norm(window) * np.linalg.norm(stored)
    return float((window * stored).sum() / norm) if norm else 0.0
