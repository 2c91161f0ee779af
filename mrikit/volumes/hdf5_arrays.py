"""K-space and reference arrays as the HDF5 formats of fastMRI and SNU share them."""

from collections.abc import Sequence
from dataclasses import replace

import h5py
import numpy as np

from mrikit.errors import DataError
from mrikit.storage import Location
from mrikit.volumes.faults import FormatError
from mrikit.volumes.slices import FileSlices, hdf5_slices


def kspace_slices(path: Location, file: h5py.File) -> FileSlices:
    """The `kspace` dataset with axes (slice, coil, readout, phase); a missing coil axis gets size 1.

    Raises:
        DataError: It is missing, real-valued, empty or has another rank.
    """
    stored = hdf5_slices(path, file, "kspace")
    if np.dtype(stored.stored_dtype).kind != "c":
        raise FormatError(
            f"k-space is {np.dtype(stored.stored_dtype).name}; complex values are needed. Is it a magnitude image?"
        )
    if len(stored.shape) not in (3, 4) or 0 in stored.shape:
        raise FormatError(
            f"k-space has shape {stored.shape}; (slice, coil, readout, phase) or (slice, readout, phase) is needed; "
            "`mrikit data import --axes` names others"
        )
    num_slices, *rest = stored.shape
    return replace(stored, shape=(num_slices, 1, *rest)) if len(rest) == 2 else stored


def reference_slices(path: Location, file: h5py.File, keys: Sequence[str], num_slices: int) -> FileSlices | None:
    """The first of `keys` that the file has, with axes (slice, y, x); None if it has none.

    Raises:
        DataError: It is not a real image stack with as many slices as k-space.
    """
    key = next((key for key in keys if key.encode() in file.id), None)
    if key is None:
        return None
    reference = hdf5_slices(path, file, key)
    if np.dtype(reference.stored_dtype).kind != "f" or len(reference.shape) != 3:
        raise DataError(
            f"'{key}' is {reference.stored_dtype} of shape {reference.shape}; (slice, y, x) real values are needed"
        )
    if len(reference) != num_slices:
        raise DataError(
            f"'{key}' has {len(reference)} slices but k-space has {num_slices}; do the files belong together?"
        )
    return reference
