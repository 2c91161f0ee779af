"""Plain arrays of k-space from .npy, .mat, .cfl and HDF5 files, brought into mrikit's axis order."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError, DataError
from mrikit.volumes.bart import read_dims
from mrikit.volumes.hdf5 import open_hdf5

AXES = ("slice", "coil", "readout", "phase")


def read_array(path: Path, key: str | None = None) -> npt.NDArray[Any]:
    """The array in a `.npy`, `.mat`, `.cfl` or HDF5 file.

    Axes are in the order in which NumPy, MATLAB or BART show them; axes of BART that end in ones are left out.

    Args:
        path: The file.
        key: Name of the array in a `.mat` or HDF5 file; needed if there are several.

    Raises:
        DataError: The file is missing or damaged, or has no such array.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.suffix in (".cfl", ".hdr"):
        dims = np.trim_zeros(np.array(read_dims(path)) - 1, "b") + 1
        return np.fromfile(path.with_suffix(".cfl"), "<c8").reshape(dims, order="F")
    if path.suffix == ".npy":
        try:
            return np.asarray(np.load(path, allow_pickle=False))
        except (ValueError, EOFError) as error:
            raise DataError(f"{path}: not a whole .npy array: {error}") from error
    if h5py.is_hdf5(path):
        with open_hdf5(path) as file:
            found = _pick(path, {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}, key)[()]
        # MATLAB 7.3 files are HDF5 with all axes in reverse and complex numbers in fields of its own names.
        found = found.T if path.suffix == ".mat" else found
        return np.asarray(found["real"] + 1j * found["imag"] if found.dtype.names == ("real", "imag") else found)
    if path.suffix == ".mat":
        return np.asarray(_pick(path, _read_matlab(path), key))
    raise DataError(f"{path}: not an array; a .npy, .mat, .cfl or HDF5 file is needed")


def arrange(array: npt.NDArray[Any], axes: Sequence[str]) -> npt.NDArray[np.complex64]:
    """Bring a complex array into (slice, coil, readout, phase) complex64; axes that it lacks get size 1.

    Args:
        array: Complex k-space; axes of size 1 beyond those named are dropped.
        axes: Its axes in order, from `slice`, `coil`, `readout` and `phase`, the last two included.

    Raises:
        ConfigError: The names are not such axes.
        DataError: The array is real, has another number of axes, or holds NaN or Inf.
    """
    if len(set(axes)) != len(axes) or not {"readout", "phase"} <= set(axes) <= set(AXES):
        raise ConfigError(f"axes {','.join(axes)}: each of {', '.join(AXES)} at most once, readout and phase always")
    array = drop_ones(array, len(axes))
    if array.dtype.kind != "c":
        raise DataError(f"the array is {array.dtype}; complex k-space is needed. Is it a magnitude image?")
    if not np.isfinite(array).all():
        raise DataError(f"{np.count_nonzero(~np.isfinite(array))} values of the array are NaN or Inf; is it damaged?")
    order = [axes.index(axis) for axis in AXES if axis in axes]
    missing = [position for position, axis in enumerate(AXES) if axis not in axes]
    return np.ascontiguousarray(np.expand_dims(array.transpose(order), missing), np.complex64)


def drop_ones(array: npt.NDArray[Any], num_axes: int) -> npt.NDArray[Any]:
    """The array without axes of size 1 if it has more than `num_axes`.

    Raises:
        DataError: Even so it has another number of axes.
    """
    found = array if array.ndim == num_axes else array.squeeze()
    if found.ndim != num_axes:
        raise DataError(f"the array has shape {array.shape}, but {num_axes} axes were named; name each of its axes")
    return found


def _read_matlab(path: Path) -> dict[str, Any]:
    import scipy.io  # here, because importing it takes longer than everything else in this file

    try:
        found = scipy.io.loadmat(path)
    except (ValueError, NotImplementedError, OSError, TypeError) as error:
        raise DataError(f"{path}: not a MATLAB file: {error}") from error
    return {name: value for name, value in found.items() if not name.startswith("__")}


def _pick(path: Path, arrays: Mapping[str, Any], key: str | None) -> Any:  # noqa: ANN401 - array or dataset
    if key is None and len(arrays) == 1:
        return next(iter(arrays.values()))
    if key is None or key not in arrays:
        wrong = "several arrays" if key is None else f"no array '{key}'"
        raise DataError(f"{path}: {wrong}; found {sorted(arrays)}. Name one with --key")
    return arrays[key]
