"""Plain arrays of k-space from .npy, .mat, .cfl and HDF5 files, read slice by slice."""

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError, DataError
from mrikit.volumes.axes import KSPACE_AXES, VOLUME_AXES, AxisMap, to_complex
from mrikit.volumes.bart import read_dims
from mrikit.volumes.hdf5 import open_hdf5
from mrikit.volumes.stored_array import FlatFile, Reversed, StoredArray

AXES = (*KSPACE_AXES, "average", *VOLUME_AXES, "complex")
"""What the axes of an array may be called."""
BLOCK_BYTES = 2**27
"""Slices that lie scattered are read together up to this size, so that the file is read a few times, not once for
each slice."""


@contextlib.contextmanager
def open_array(path: Path, key: str | None = None) -> Iterator[StoredArray]:
    """The array in a `.npy`, `.mat`, `.cfl` or HDF5 file, open until the block ends; nothing is read yet.

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
        yield Reversed(FlatFile(path.with_suffix(".cfl"), np.dtype("<c8"), tuple(dims.tolist()[::-1]), 0))
    elif path.suffix == ".npy":
        yield _open_npy(path)
    elif h5py.is_hdf5(path):
        with open_hdf5(path) as file:
            found = _pick(path, {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}, key)
            # MATLAB 7.3 files are HDF5 with all axes in reverse.
            yield Reversed(found) if path.suffix == ".mat" else found
    elif path.suffix == ".mat":
        yield _pick(path, _read_matlab(path), key)
    else:
        raise DataError(f"{path}: not an array; a .npy, .mat, .cfl or HDF5 file is needed")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RawSlices:
    """K-space of an open array as a SliceArray of (coil, readout, phase) complex64."""

    stored: StoredArray
    axes: AxisMap
    angles: dict[int, float] = field(default_factory=dict)
    """The largest angle in rad by which an average was turned, by slice; filled when slices are read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(slice, coil, readout, phase)."""
        return self.axes.shape(self.stored.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, slice_index: int) -> npt.NDArray[np.complex64]:
        """One slice.

        Raises:
            DataError: It holds NaN or Inf.
            IndexError: There is no such slice.
        """
        slice_index = range(len(self))[slice_index]
        return self._arrange(slice_index, self.stored[self.axes.index(slice_index)])

    def __iter__(self) -> Iterator[npt.NDArray[np.complex64]]:
        taken = [size for size, name in zip(self.stored.shape, self.axes.names, strict=True) if name in self.axes.picks]
        num_values = math.prod(self.stored.shape) // math.prod(taken)
        step = BLOCK_BYTES * len(self) // (num_values * self.stored.dtype.itemsize)
        if step < 2 or not self._is_scattered:
            yield from (self[slice_index] for slice_index in range(len(self)))
            return
        axis = [name for name in self.axes.names if name not in self.axes.picks].index("slice")
        for start in range(0, len(self), step):
            block = self.stored[self.axes.index(slice(start, start + step))]
            for number in range(block.shape[axis]):
                yield self._arrange(start + number, block.take(number, axis))
            del block  # before the next one is read

    @property
    def _is_scattered(self) -> bool:
        """Whether the values of a slice lie in more than one piece."""
        sizes = list(zip(self.axes.names, self.stored.shape, strict=True))
        slowest_first = sizes[::-1] if isinstance(self.stored, Reversed) else sizes
        before = itertools.takewhile(lambda axis: axis[0] != "slice", slowest_first)
        return len(self) > 1 and any(size > 1 and name not in self.axes.picks for name, size in before)

    def _arrange(self, slice_index: int, values: npt.NDArray[Any]) -> npt.NDArray[np.complex64]:
        found, angles = self.axes.arrange(values)
        num_bad = found.size - np.count_nonzero(np.isfinite(found))
        if num_bad:
            raise DataError(f"{num_bad} values of slice {slice_index} of the array are NaN or Inf; is it damaged?")
        self.angles[slice_index] = float(np.abs(angles).max())
        return found


def raw_volumes(stored: StoredArray, names: Sequence[str]) -> dict[str, RawSlices]:
    """K-space of an array, for each entry of its axes `echo`, `time` and `repetition` a volume of its own.

    Args:
        stored: The array; axes of size 1 beyond those named are dropped. Real values of one axis more than named, of
            size 2, are pairs of a real and an imaginary part.
        names: Its axes in order, from `AXES`.

    Returns:
        The volumes by suffixes such as `_echo0_time2`; an empty one if there is a single volume.

    Raises:
        ConfigError: The names are not such axes.
        DataError: The array has another number of axes, holds nothing, or is real.
    """
    if len(set(names)) != len(names) or not {"readout", "phase"} <= set(names) <= set(AXES):
        raise ConfigError(f"axes {','.join(names)}: each of {', '.join(AXES)} at most once, readout and phase always")
    names = [*names, "complex"] if _has_unnamed_parts(stored, len(names)) else list(names)
    names = _name_all(stored, names)
    sizes = dict(zip(names, stored.shape, strict=True))
    if 0 in stored.shape:
        raise DataError(f"the array has shape {stored.shape} and holds nothing")
    if sizes.get("complex", 2) != 2:
        raise DataError(f"axis complex has size {sizes['complex']}; 2 is needed, a real and an imaginary part")
    if "complex" not in sizes and stored.dtype.kind not in "cV":
        raise DataError(
            f"the array is {stored.dtype}; complex k-space is needed, or an axis `complex` of size 2. Is it a "
            "magnitude image, or a public set that is read in place?"
        )
    ones = {name: 0 for name in names if name not in AXES}
    split = [name for name in VOLUME_AXES if name in sizes]
    volumes = {}
    for numbers in itertools.product(*(range(sizes[name]) for name in split)):
        picks = dict(zip(split, numbers, strict=True))
        suffix = "".join(f"_{name}{number}" for name, number in picks.items() if sizes[name] > 1)
        volumes[suffix] = RawSlices(stored=stored, axes=AxisMap(names=tuple(names), picks=picks | ones))
    return volumes


def read_noise(path: Path, names: Sequence[str]) -> npt.NDArray[np.complex64]:
    """A noise-only scan, (coil, sample) complex64.

    Args:
        path: The file.
        names: Its axes in order, `coil` included.

    Raises:
        ConfigError: There is no coil axis.
        DataError: The file holds no complex array of so many axes.
    """
    if "coil" not in names:
        raise ConfigError(f"noise axes {','.join(names)}: the coil axis is needed")
    with open_array(path) as stored:
        names = [*names, "complex"] if _has_unnamed_parts(stored, len(names)) else list(names)
        names = _name_all(stored, names)
        values, names = to_complex(np.asarray(stored[(slice(None),) * len(names)]), names)
    moved = np.moveaxis(values, names.index("coil"), 0)
    return moved.reshape(len(moved), -1).astype(np.complex64)


def _has_unnamed_parts(stored: StoredArray, num_named: int) -> bool:
    return len(stored.shape) == num_named + 1 and stored.shape[-1] == 2 and stored.dtype.kind == "f"


def _name_all(stored: StoredArray, names: Sequence[str]) -> list[str]:
    """A name for each axis of an array; axes of size 1 that nobody named get one that nobody else has.

    Raises:
        DataError: The array has another number of axes.
    """
    if len(stored.shape) == len(names):
        return list(names)
    if sum(size > 1 for size in stored.shape) != len(names):
        raise DataError(f"the array has shape {stored.shape}, but {len(names)} axes were named; name each of its axes")
    left = iter(names)
    return [next(left) if size > 1 else f"one {axis}" for axis, size in enumerate(stored.shape)]


def _open_npy(path: Path) -> StoredArray:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(f"{path}: not a whole .npy array: {error}") from error
    if not isinstance(found, np.memmap):
        raise DataError(f"{path}: not a .npy array but an archive of several; save one with numpy.save")
    if found.flags.c_contiguous:
        return FlatFile(path, found.dtype, found.shape, found.offset)
    return Reversed(FlatFile(path, found.dtype, found.shape[::-1], found.offset))


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
