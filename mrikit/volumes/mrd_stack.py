"""MrdStack: a 3-D scan as slices across its readout, transformed when they are asked for."""

import functools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mrikit.physics.averages import NEAR_CENTER, phases_of
from mrikit.storage import Location
from mrikit.volumes.blob_file import Signature
from mrikit.volumes.held import HeldFile
from mrikit.volumes.mrd_slices import MrdSlices

_BLOCK_BYTES = 2**31
"""Transformed k-space that is kept at once; a larger scan is read once for each such part."""
_LINES_AT_ONCE = 1024
_LOCK = threading.Lock()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MrdStack:
    """K-space of a 3-D scan as a SliceArray: an inverse transform along the readout makes slices of it.

    A slice takes all acquisitions, so that the first one transforms as many as fit into memory, and the newest two such
    parts of a process are kept. All slices in order cost one reading, or one for each part.
    """

    lines: MrdSlices
    """All acquisitions as those of one slice, (1, coil, readout, partition * phase)."""
    shape: tuple[int, ...]
    """(slice, coil, partition, phase): partitions stand where 2-D k-space has its readout."""
    first_slice: int
    """Readout position of the first slice in the full field of view."""

    @property
    def path(self) -> Location:
        """The file."""
        return self.lines.path

    @property
    def signature(self) -> Signature | None:
        """Size and version of a blob when it was opened."""
        return self.lines.signature

    def pinned(self, signature: Signature) -> "MrdStack":
        """The same, read from that version of the blob and no other."""
        return replace(self, lines=self.lines.pinned(signature))

    def held(self, file: HeldFile | None) -> "MrdStack":
        """The same, read from a file that somebody keeps open."""
        return replace(self, lines=self.lines.held(file))

    def noise_samples(self) -> npt.NDArray[np.complex64] | None:
        """(coil, sample) complex64 of the noise scan; None if there is none.

        Raises:
            DataError: It has other coils than the scan, or the file is damaged.
        """
        return self.lines.noise_samples()

    def whitened(self, matrix: npt.NDArray[np.complex64]) -> "MrdStack":
        """The same with every line multiplied by a (coil, coil) matrix."""
        return replace(self, lines=self.lines.whitened(matrix))

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[slice_index] for slice_index in range(len(self)))

    def __getitem__(self, slice_index: int) -> npt.NDArray[Any]:
        """One slice, (coil, partition, phase) complex64: repeated lines averaged in phase, missing ones zero.

        Raises:
            DataError: The file is gone or damaged, or holds NaN or Inf.
            IndexError: There is no such slice.
        """
        slice_index = range(len(self))[slice_index]
        slice_bytes = int(np.prod(self.shape[1:])) * np.dtype(np.complex64).itemsize
        size = max(1, min(len(self), _BLOCK_BYTES // slice_bytes))
        with _LOCK:  # threads that read ahead wait for the one transform, and do not repeat it
            block = _transform(self, slice_index // size * size, size)
        found: npt.NDArray[Any] = block[slice_index % size].reshape(self.shape[1:]).copy()
        return found


MrdArray: TypeAlias = MrdSlices | MrdStack


@functools.lru_cache(maxsize=2)
def _transform(stack: MrdStack, first: int, size: int) -> npt.NDArray[np.complex64]:
    """(slice, coil, partition * phase) complex64 of slices [first, first + size)."""
    flat = stack.lines
    cells, rows = flat.columns[0], flat.rows[0]
    labels = np.zeros(len(rows), np.int64) if flat.averages is None else flat.averages[0]
    back = _turning_back(stack, labels)
    start = stack.first_slice + first
    size = min(size, len(stack) - first)
    block = np.zeros((size, flat.shape[1], flat.shape[3]), np.complex64)
    for at in range(0, len(rows), _LINES_AT_ONCE):
        part = slice(at, at + _LINES_AT_ONCE)
        lines = flat.lines_of(0, np.arange(len(rows))[part]) * back[labels[part]][:, None, None]
        full = np.zeros((*lines.shape[:2], flat.shape[2]), np.complex64)
        full[:, :, flat.first_sample : flat.first_sample + lines.shape[2]] = lines
        shifted = np.fft.ifft(np.fft.ifftshift(full, axes=-1), axis=-1, norm="ortho")
        hybrid = np.fft.fftshift(shifted, axes=-1)[:, :, start : start + size]
        for label in np.unique(labels[part]):  # within one average no place is met twice
            is_this = labels[part] == label
            block[:, :, cells[part][is_this]] += np.moveaxis(hybrid[is_this], 0, -1).swapaxes(0, 1)
    count = np.bincount(cells, minlength=flat.shape[3])
    if count.max() > 1:
        block /= np.maximum(count, 1).astype(np.float32)
    return block


def _turning_back(stack: MrdStack, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.complex64]:
    """(average,) factors that bring each average to the phase of the first."""
    factors = np.ones(int(labels.max()) + 1, np.complex64)
    if not labels.any():
        return factors
    near = near_center(stack)
    lines = stack.lines.lines_of(0, near)
    cells = stack.lines.columns[0][near]
    for label, phase in phases_of(lines, cells, labels[near], center_of(stack)).items():
        factors[label] = np.exp(-1j * phase)
    return factors


def center_of(stack: MrdStack) -> int:
    """The place of the k-space centre among partitions * phase."""
    num_partitions, phase = stack.shape[2:]
    return (num_partitions // 2) * phase + phase // 2


def near_center(stack: MrdStack) -> npt.NDArray[np.int64]:
    """The acquisitions of the central partition near the k-space centre, by their place in the rows."""
    return np.flatnonzero(np.abs(stack.lines.columns[0] - center_of(stack)) <= NEAR_CENTER)
