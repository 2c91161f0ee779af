"""MappedSlices: k-space or images in an HDF5 dataset whose axes are not mrikit's."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.storage import Location
from mrikit.volumes.axes import AxisMap
from mrikit.volumes.blob_file import Signature, known_blob
from mrikit.volumes.faults import DamageError
from mrikit.volumes.hdf5 import read_hdf5
from mrikit.volumes.held import HeldFile


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MappedSlices:
    """A SliceArray of a dataset; of one slice after the other its values are read and put into order."""

    path: Location
    key: str
    """HDF5 dataset."""
    axes: AxisMap
    stored_shape: tuple[int, ...]
    is_magnitude: bool = False
    """Whether the magnitude of the only coil is read, as of a complex reference image."""
    signature: Signature | None = None
    """Size and version of a blob when it was opened; another one is not read. None for a local file."""
    held: HeldFile | None = None
    """The file where somebody keeps it open meanwhile."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(slice, coil, readout, phase), or (slice, y, x) of an image."""
        num_slices, num_coils, *plane = self.axes.shape(self.stored_shape)
        return (num_slices, *plane) if self.is_magnitude else (num_slices, num_coils, *plane)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[slice_index] for slice_index in range(len(self)))

    def __getitem__(self, slice_index: int) -> npt.NDArray[Any]:
        """One slice, (coil, readout, phase) complex64 or (y, x) float32.

        Raises:
            DataError: The file is gone or damaged, or the slice holds NaN or Inf.
            IndexError: There is no such slice.
        """
        slice_index = range(len(self))[slice_index]

        def read(file: h5py.File) -> npt.NDArray[Any]:
            found: npt.NDArray[Any] = file[self.key][self.axes.index(slice_index)]
            return found

        if self.held is not None:
            values = self.held.read_hdf5(read)
        else:
            values = read_hdf5(self.path, read, known_blob(self.path, self.signature))
        found, _ = self.axes.arrange(values)
        if not np.isfinite(found).all():
            raise DamageError(
                f"{self.path}: slice {slice_index} of {self.key} holds NaN or Inf; "
                "is the file damaged? Copy it again, or leave it out"
            )
        return np.abs(found[0]) if self.is_magnitude else found


def mapped_slices(path: Location, file: h5py.File, key: str, axes: AxisMap) -> MappedSlices:
    """The dataset `key` of an open HDF5 file as slices of k-space.

    Raises:
        DataError: It has another number of axes, or holds nothing.
    """
    shape = file[key].shape
    if len(shape) != len(axes.names) or 0 in shape:
        raise DataError(f"'{key}' has shape {shape}; ({', '.join(axes.names)}) is needed")
    return MappedSlices(path=path, key=key, axes=axes, stored_shape=shape)
