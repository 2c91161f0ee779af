"""Open HDF5 files and read small things from them, with errors that a user understands."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.storage import BlobPath, Location
from mrikit.volumes.blob_file import BlobFile, BlobFiles

T = TypeVar("T")


class NoRawDataError(DataError):
    """A file holds no k-space: a reconstruction, or an array that only its owner can name."""


def read_hdf5(path: Location, read: Callable[[h5py.File], T], blobs: BlobFiles | None = None) -> T:
    """What `read` finds in an HDF5 file, local or a blob.

    Of a blob both ends are fetched first. Where `read` needs more, that is fetched and `read` begins anew; h5py itself
    never waits for the network (see `blob_file`).

    Args:
        path: The file.
        read: Called with the open file, for a blob perhaps several times; it keeps nothing of it.
        blobs: Where blobs are opened that this reader and others look into.

    Raises:
        DataError: The file is missing, unreadable, not HDF5 or truncated, or proves damaged while it is read.
        StorageError: A blob cannot be read.
    """
    if not isinstance(path, BlobPath):
        with open_hdf5(path) as file:
            return read(file)
    blob = (blobs or BlobFiles()).find(path)
    if blob is None:
        raise DataError(f"{path}: no such file")
    blob.fetch_ends()
    while True:
        try:
            with _open_blob(blob) as file:
                found = read(file)
        except DataError:
            if blob.fetch_missing():
                continue
            raise
        # HDF5 answers some questions with no where it could not look.
        if not blob.fetch_missing():
            return found


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file open for reading.

    Raises:
        DataError: The file is missing, unreadable, not HDF5 or truncated, or proves damaged while it is open.
    """
    file = open_file(path)
    try:
        with damage_named(path):
            yield file
    finally:
        file.id.close()


def open_file(path: Path) -> h5py.File:
    """An HDF5 file open for reading, for the caller to close.

    Raises:
        DataError: The file is missing, unreadable, not HDF5 or truncated.
    """
    try:
        # `h5py.File(path)` and its `close` do the same in twice the time, which indexing would spend on every file.
        return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY))
    except OSError as error:
        raise _not_opened(path, error, _why_not_opened(path, error)) from error


@contextlib.contextmanager
def damage_named(path: Location) -> Iterator[None]:
    """Until the block ends, whatever damage makes of the file is a DataError."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        # Damage reaches us as any of these, depending on which byte HDF5 stumbles over.
        raise DataError(f"{path}: damaged, or not what its names promise: {_one_line(error)}") from error


@contextlib.contextmanager
def _open_blob(blob: BlobFile) -> Iterator[h5py.File]:
    try:
        file = h5py.File(blob, "r")
    except OSError as error:
        raise _not_opened(blob.path, error, _reason(error, blob.size_bytes)) from error
    try:
        with damage_named(blob.path):
            yield file
    finally:
        file.id.close()


def attribute(file: h5py.File, name: str) -> Any:  # noqa: ANN401 - whatever the file holds
    """A scalar attribute of the file as a Python value; None if there is none or it is empty.

    Twice as fast as `file.attrs`.
    """
    try:
        found = h5py.h5a.open(file.id, name.encode())
    except KeyError:
        return None
    if found.shape is None or 0 in found.shape:
        return None
    values = np.empty(found.shape, found.dtype)
    found.read(values)
    value = values.reshape(-1)[0]
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode() if isinstance(value, bytes) else value


def text_attribute(file: h5py.File, name: str) -> str | None:
    """A scalar attribute of the file as text, numbers too: some sites number their patients."""
    value = attribute(file, name)
    return None if value is None else str(value)


def text(file: h5py.File, key: str) -> bytes:
    """A scalar text dataset, or one with a single element, as bytes.

    Raises:
        DataError: It is something else.
    """
    dataset = h5py.h5d.open(file.id, key.encode())
    values = np.empty(dataset.shape, dataset.dtype)
    if values.size != 1 or values.dtype.kind not in "OS":
        raise DataError(f"'{key}' holds {values.dtype} of shape {values.shape}; one text is needed")
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return bytes(values.reshape(-1)[0])


def sampling_mask(file: h5py.File, matrix: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
    """The file's own mask, (phase,) or (readout, phase) bool; None if it stores none.

    Raises:
        DataError: The mask does not fit the (readout, phase) matrix.
    """
    if b"mask" not in file.id:
        return None
    mask = np.asarray(file["mask"][()] != 0)
    if mask.shape not in (matrix[1:], matrix):
        raise DataError(
            f"the mask has shape {mask.shape} but k-space has (readout, phase) {matrix}; "
            f"a mask of shape {matrix[1:]} or {matrix} would fit"
        )
    return mask


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _not_opened(path: Location, error: OSError, reason: str) -> DataError:
    if path.suffix == ".mat" and "signature not found" in str(error):
        return NoRawDataError(f"{path}: not a MATLAB file of version 7.3; `mrikit data import` reads older ones")
    return DataError(f"{path}: {reason}")


def _why_not_opened(path: Path, error: OSError) -> str:
    if not path.exists():
        return "no such file"
    if path.is_dir():
        return "a folder, not a file"
    return _reason(error, path.stat().st_size)


def _reason(error: OSError, size_bytes: int) -> str:
    if "truncated" in str(error):
        return "a truncated HDF5 file; copy it again"
    if "signature not found" in str(error):
        return f"not an HDF5 file ({size_bytes} bytes); is the download complete?"
    return f"cannot be opened as HDF5: {_one_line(error)}"
