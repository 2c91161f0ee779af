"""MrdSlices: 2-D k-space whose acquisitions are read slice by slice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.physics.averages import average_lines, in_phase
from mrikit.storage import Location
from mrikit.volumes.acquisitions import Acquisitions
from mrikit.volumes.blob_file import Signature
from mrikit.volumes.faults import DamageError
from mrikit.volumes.held import HeldFile


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MrdSlices:
    """K-space of an MRD scan as a SliceArray; the acquisitions of a slice are read when it is asked for."""

    acquisitions: Acquisitions
    """Where the samples lie."""
    shape: tuple[int, ...]
    """(slice, coil, readout, phase)"""
    rows: tuple[npt.NDArray[np.int64], ...]
    """For each slice the ascending numbers of its acquisitions."""
    columns: tuple[npt.NDArray[np.int64], ...]
    """For each slice the phase column of each of its acquisitions."""
    averages: tuple[npt.NDArray[np.int64], ...] | None = None
    """For each slice the average of each of its acquisitions; None if there is one."""
    first_sample: int
    """Readout position of the first sample that is kept."""
    kept: tuple[int, int]
    """[first, last) samples of an acquisition that are kept."""
    noise: npt.NDArray[np.int64] | None = None
    """Numbers of the acquisitions of the noise scan; None if there is none."""
    whitening: npt.NDArray[np.complex64] | None = None
    """(coil, coil) matrix that every line is multiplied by; None for the coils as they are."""

    @property
    def path(self) -> Location:
        """The file."""
        return self.acquisitions.path

    @property
    def signature(self) -> Signature | None:
        """Size and version of a blob when it was opened."""
        return self.acquisitions.signature

    def pinned(self, signature: Signature) -> "MrdSlices":
        """The same, read from that version of the blob and no other."""
        return replace(self, acquisitions=_replace(self.acquisitions, signature=signature))

    def held(self, file: HeldFile | None) -> "MrdSlices":
        """The same, read from a file that somebody keeps open."""
        return replace(self, acquisitions=_replace(self.acquisitions, held=file))

    def noise_samples(self) -> npt.NDArray[np.complex64] | None:
        """(coil, sample) complex64 of the noise scan; None if there is none.

        Raises:
            DataError: It has other coils than the scan, or the file is damaged.
        """
        if self.noise is None:
            return None
        found = np.concatenate(self.acquisitions.samples(self.noise), axis=1)
        if len(found) != self.shape[1]:
            raise DataError(f"{self.path}: the noise scan has {len(found)} coils and the scan {self.shape[1]}")
        if not np.isfinite(found).all():
            raise DamageError(f"{self.path}: the noise scan holds NaN or Inf; is the file damaged?")
        return found

    def whitened(self, matrix: npt.NDArray[np.complex64]) -> "MrdSlices":
        """The same with every line multiplied by a (coil, coil) matrix."""
        return replace(self, whitening=matrix)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[slice_index] for slice_index in range(len(self)))

    def __getitem__(self, slice_index: int) -> npt.NDArray[Any]:
        """One slice, (coil, readout, phase) complex64: repeated lines averaged in phase, missing ones zero.

        Raises:
            DataError: The file is gone or damaged, or the slice holds NaN or Inf.
            IndexError: There is no such slice.
        """
        slice_index = range(len(self))[slice_index]
        columns = self.columns[slice_index]
        num_coils, readout, phase = self.shape[1:]
        first, last = self.kept
        lines = self.lines_of(slice_index, np.arange(len(columns)))
        if self.averages is not None:
            lines = in_phase(lines, columns, self.averages[slice_index], phase // 2)
        kspace = np.zeros((num_coils, readout, phase), np.complex64)
        total = average_lines(lines, columns, phase)
        kspace[:, self.first_sample : self.first_sample + last - first] = np.moveaxis(total, 0, -1)
        return kspace

    def lines_of(
        self, slice_index: int, wanted: npt.NDArray[np.int64], *, is_checked: bool = True
    ) -> npt.NDArray[np.complex64]:
        """(line, coil, kept sample) complex64 of some acquisitions of a slice, by their place in `rows`.

        Raises:
            DataError: As for a slice, NaN and Inf only if it is checked.
        """
        what = f"slice {slice_index} of k-space"
        lines = read_lines(self.acquisitions, self.rows[slice_index][wanted], what)
        if is_checked and not np.isfinite(lines).all():
            raise DamageError(f"{self.path}: {what} holds NaN or Inf; is the file damaged?")
        lines = lines[:, :, slice(*self.kept)]
        return lines if self.whitening is None else self.whitening @ lines


def read_lines(
    acquisitions: Acquisitions, rows: npt.NDArray[np.int64], what: str = "the scan"
) -> npt.NDArray[np.complex64]:
    """(line, coil, sample) complex64 of acquisitions of one length.

    Raises:
        DataError: The file is gone or damaged.
    """
    records: Sequence[npt.NDArray[np.complex64]] = acquisitions.samples(rows)
    try:
        return np.stack(records)
    except ValueError as error:
        raise DamageError(f"{acquisitions.path}: {what} has acquisitions of unlike length: {error}") from error


def _replace(acquisitions: Acquisitions, **changes: Any) -> Any:  # noqa: ANN401 - a protocol is no dataclass to mypy
    changed: Any = acquisitions
    return replace(changed, **changes)
