"""FileSlices: an array in a file that is read one slice at a time, where possible with exact reads at known bytes.

Of a blob each such read is one request, or none where the cache on the local disk has the bytes.
"""

import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.storage import BlobPath, Location
from mrikit.volumes.blob_file import Signature, known_blob
from mrikit.volumes.faults import DamageError, FormatError
from mrikit.volumes.hdf5 import read_hdf5
from mrikit.volumes.held import HeldFile
from mrikit.volumes.inflate import inflate_slice
from mrikit.volumes.pieces import read_pieces

NUM_PARTS_AXES = (4, 5)
"""Axes of k-space that is stored as floats: slice, perhaps coil, readout, phase, and two parts of each value."""
PART_NAMES = (("real", "imag"), ("re", "im"))
"""What the fields of a compound are called that is a complex value; h5py itself knows `r` and `i`."""
_USUAL_DTYPES = [(h5py.h5t.py_create(dtype), dtype) for dtype in (np.dtype("<c8"), np.dtype("<f4"))]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FileSlices:
    """A SliceArray of a file. Unless it is held open it can be pickled and used by many processes."""

    path: Location
    shape: tuple[int, ...]
    """Sizes of all axes as they are read, slice first."""
    stored_dtype: str
    """numpy dtype of the stored bytes, such as `<c8`; complex too for a real and an imaginary part side by side."""
    start: int | None = None
    """First byte of an array that lies in one piece, slice after slice."""
    runs: npt.NDArray[np.int64] | None = None
    """(slice, run) first byte of the equally long runs that make up a slice of an array that lies in pieces."""
    key: str | None = None
    """HDF5 dataset, which decodes the slices if neither `start` nor `runs` is known; None in other formats."""
    is_phase_first: bool = False
    """Whether the file stores a slice as (..., phase, readout)."""
    signature: Signature | None = None
    """Size and version of a blob when it was opened; another one is not read. None for a local file."""
    is_kept: bool = True
    """Whether what is read of a blob is kept in the cache on the local disk."""
    held: HeldFile | None = None
    """The file where somebody keeps it open meanwhile."""

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[slice_index] for slice_index in range(len(self)))

    def __getitem__(self, slice_index: int) -> npt.NDArray[Any]:
        """One slice as complex64, or float32 if it is stored real.

        Raises:
            DataError: The file is gone, truncated or damaged, or the slice holds NaN or Inf.
            IndexError: There is no such slice.
        """
        return self._arrange(slice_index, self.shape[1:])

    def first_part(self, slice_index: int) -> npt.NDArray[Any]:
        """The first entry of a slice along its leading axis, such as its first coil, read alone where that is possible.

        Raises:
            DataError: As for a whole slice.
            IndexError: There is no such slice.
        """
        if self._is_plain:
            return self._arrange(slice_index, self.shape[2:])
        part: npt.NDArray[Any] = self[slice_index][0]
        return part

    @property
    def _is_plain(self) -> bool:
        """Whether it is known where the samples lie."""
        return self.start is not None or self.runs is not None

    def _arrange(self, slice_index: int, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """The first values of a slice, as many as the shape has."""
        slice_index = range(len(self))[slice_index]
        flat = self._read_plain(slice_index, math.prod(shape)) if self._is_plain else self._decode(slice_index)
        flat = np.ascontiguousarray(flat, np.complex64 if flat.dtype.kind == "c" else np.float32)
        if not _is_finite(flat):
            raise DamageError(
                f"{self.path}: slice {slice_index} of {self.key or 'k-space'} holds NaN or Inf; "
                "is the file damaged? Copy it again, or leave it out"
            )
        if not self.is_phase_first:
            return flat.reshape(shape)
        stored = flat.reshape(*shape[:-2], shape[-1], shape[-2])
        return np.ascontiguousarray(np.swapaxes(stored, -1, -2))

    def _read_plain(self, slice_index: int, num_values: int) -> npt.NDArray[Any]:
        """The stored bytes of the first values of a slice, one exact read for each piece."""
        flat = np.empty(num_values, self.stored_dtype)
        buffer, done = flat.view(np.uint8).data, 0
        pieces = []
        for start, count in self._pieces(slice_index, flat.nbytes):
            pieces.append((start, buffer[done : done + count]))
            done += count
        what = f"slice {slice_index}"
        read_pieces(self.path, pieces, what, held=self.held, signature=self.signature, is_kept=self.is_kept)
        return flat

    def _pieces(self, slice_index: int, num_bytes: int) -> list[tuple[int, int]]:
        """First byte and number of bytes of each piece of the first bytes of a slice; those that touch are one."""
        slice_bytes = math.prod(self.shape[1:]) * np.dtype(self.stored_dtype).itemsize
        if self.runs is None:
            return [((self.start or 0) + slice_index * slice_bytes, num_bytes)]
        run_bytes = slice_bytes // self.runs.shape[1]
        pieces: list[tuple[int, int]] = []
        for start in self.runs[slice_index].tolist():
            count = min(run_bytes, num_bytes)
            num_bytes -= count
            if pieces and sum(pieces[-1]) == start:
                pieces[-1] = (pieces[-1][0], pieces[-1][1] + count)
            elif count:
                pieces.append((start, count))
        return pieces

    def _decode(self, slice_index: int) -> npt.NDArray[Any]:
        """A compressed or oddly chunked slice."""

        def decode(file: h5py.File) -> npt.NDArray[Any]:
            try:
                dataset = file[self.key]
                inflated = inflate_slice(dataset.id, slice_index)
                found: npt.NDArray[Any] = dataset[slice_index] if inflated is None else inflated
                # A real and an imaginary part side by side are as good as a complex value.
                found = np.ascontiguousarray(found).view(self.stored_dtype)
            except (OSError, zlib.error, ValueError) as error:
                what = f"slice {slice_index} of {self.key} cannot be decoded"
                raise DamageError(f"{self.path}: {what}: {error}") from error
            return found

        if self.held is not None:
            return self.held.read_hdf5(decode)
        return read_hdf5(self.path, decode, known_blob(self.path, self.signature))


def hdf5_slices(path: Location, file: h5py.File, key: str) -> FileSlices:
    """The dataset `key` of an open HDF5 file as slices.

    The low-level interface of h5py is used because this is what indexing a data set spends its time on.

    Raises:
        DataError: It is a compound that is no complex value, or a link to a file that is not there.
    """
    dataset = open_dataset(file, key)
    path, key = _behind_link(path, file, dataset, key)
    shape, dtype = dataset.shape, _dtype(dataset)
    is_plain = dtype.kind in "fcV" and dataset.get_storage_size() == math.prod(shape) * dtype.itemsize
    start = dataset.get_offset() if is_plain else None
    runs = _chunk_runs(dataset, shape) if is_plain and start is None else None
    if len(shape) in NUM_PARTS_AXES and shape[-1] == 2 and dtype.kind == "f" and dtype.itemsize in (4, 8):
        shape, dtype = shape[:-1], _complex_of(dtype)
    elif dtype.kind == "V":
        dtype = complex_of_fields(dtype)
    return FileSlices(path=path, key=key, shape=shape, stored_dtype=dtype.str, start=start, runs=runs)


def open_dataset(file: h5py.File, key: str) -> h5py.h5d.DatasetID:
    """A dataset of an open file.

    Raises:
        DataError: It is a link to a file that is not there.
        KeyError: There is none.
    """
    try:
        return h5py.h5d.open(file.id, key.encode())
    except KeyError as error:
        link = file.get(key, getlink=True)
        if not isinstance(link, h5py.ExternalLink):
            raise
        raise DataError(f"'{key}' is a link to {link.filename}, which is not there; copy it beside") from error


def _behind_link(path: Location, file: h5py.File, dataset: h5py.h5d.DatasetID, key: str) -> tuple[Location, str]:
    """The file that holds a dataset and its name there; another one where the key is an external link."""
    place = h5py.h5f.get_name(dataset)
    if isinstance(path, BlobPath) or place == h5py.h5f.get_name(file.id):
        return path, key
    return Path(os.fsdecode(place)), h5py.h5i.get_name(dataset).decode()


def complex_of_fields(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The complex dtype of a compound of a real and an imaginary part.

    Raises:
        DataError: It is another compound.
    """
    parts = [dtype[name] for name in dtype.names or ()]
    is_known = tuple(name.lower() for name in dtype.names or ()) in PART_NAMES and parts[0] == parts[1]
    if not is_known or parts[0] not in ("<f4", ">f4", "<f8", ">f8") or 2 * parts[0].itemsize != dtype.itemsize:
        raise FormatError(f"k-space is a compound of {dtype}; two floats 'real' and 'imag', side by side, are needed")
    return _complex_of(parts[0])


def _complex_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The complex dtype whose two parts are stored as `dtype`."""
    return np.dtype(f"{dtype.byteorder}c{2 * dtype.itemsize}")


def _dtype(dataset: h5py.h5d.DatasetID) -> np.dtype[Any]:
    """The numpy dtype. Those that nearly all files have are compared: working one out takes longer than the opening."""
    stored = dataset.get_type()
    return next((dtype for usual, dtype in _USUAL_DTYPES if usual == stored), None) or dataset.dtype


def _chunk_runs(dataset: h5py.h5d.DatasetID, shape: tuple[int, ...]) -> npt.NDArray[np.int64] | None:
    """Where the slices of a chunked dataset lie, if they are whole chunks without a filter."""
    properties = dataset.get_create_plist()
    if properties.get_layout() != h5py.h5d.CHUNKED or properties.get_nfilters():
        return None
    chunk = properties.get_chunk()
    if len(shape) < 2 or 0 in shape or not _is_linear(shape, chunk):
        return None
    chunks: list[tuple[tuple[int, ...], int]] = []
    dataset.chunk_iter(lambda info: chunks.append((info.chunk_offset, info.byte_offset)))
    if len(chunks) * math.prod(chunk) != math.prod(shape):
        return None  # some chunks were never written
    return np.array([start for _, start in sorted(chunks)], np.int64).reshape(shape[0], -1)


def _is_linear(shape: tuple[int, ...], chunk: tuple[int, ...]) -> bool:
    """Whether the chunks of a slice, one after the other, are its bytes in order."""
    if chunk[0] != 1:
        return False
    split = next((axis for axis in range(1, len(shape)) if chunk[axis] != 1), len(shape) - 1)
    return shape[split] % chunk[split] == 0 and chunk[split + 1 :] == shape[split + 1 :]


def _is_finite(values: npt.NDArray[Any]) -> bool:
    """Whether no value is NaN or Inf. The sum decides nearly always, at a third of the cost of a look at each."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())
