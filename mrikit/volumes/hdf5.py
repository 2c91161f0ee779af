"""Open HDF5 files and read small things from them, with errors that a user understands."""

import contextlib
import errno
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.storage import BlobPath, Location
from mrikit.storage.lock import NO_LOCKS, NoLocksWarning, holder
from mrikit.volumes.blob_file import BlobFile, BlobFiles
from mrikit.volumes.faults import DamageError, FormatError, LockError, system_fault

T = TypeVar("T")

_HEAD_BYTES = 512
_ARCHIVE, _ARRAY = "unpack it, with `mrikit data unpack`", FormatError.remedy
_SEEMS = (
    (0, b"MATLAB 5.0", "a MATLAB file older than v7.3", _ARRAY),
    (0, b"\x93NUMPY", "a NumPy array", _ARRAY),
    (257, b"ustar", "a tar archive", _ARCHIVE),
    (0, b"\x1f\x8b", "a gz archive", _ARCHIVE),
    (0, b"\xfd7zXZ", "an xz archive", _ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", "a zst archive", _ARCHIVE),
    (0, b"BZh", "a bz2 archive", _ARCHIVE),
    (0, b"PK\x03\x04", "a zip archive", "unpack it"),
    (128, b"DICM", "a DICOM image", "take the raw data of the scan; DICOM holds no k-space"),
    (344, b"n+1\0", "a NIfTI image", "take the raw data of the scan; NIfTI holds no k-space"),
    (0, b"<", "a web page, such as the answer of a server that refused", DamageError.remedy),
    (0, b"version https://git-lfs", "a pointer of Git LFS instead of the file", "fetch it with `git lfs pull`"),
)
"""Where a file of another kind has its mark, what it is, and what would do."""


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
        if _IS_LOCK not in str(error) or error.errno not in NO_LOCKS:
            raise _not_opened(path, error) from error
        reason = os.strerror(error.errno)
    warnings.warn(
        f"this file system has no locks ({reason}); files are read without, so nothing may write them meanwhile",
        NoLocksWarning,
        stacklevel=2,
    )
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise _not_opened(path, error) from error


def create_hdf5(path: Path) -> h5py.File:
    """A new HDF5 file, without a lock: for a temporary name, which nobody else knows."""
    return h5py.File(path, "w", locking=False)


@contextlib.contextmanager
def damage_named(path: Location) -> Iterator[None]:
    """Until the block ends, whatever damage makes of the file is a DataError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EIO, errno.ESTALE, errno.EACCES):
            raise system_fault(f"{path}: cannot be read", error) from error
        raise DamageError(f"{path}: damaged, or not what its names promise: {_one_line(error)}") from error
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        # Damage reaches us as any of these, depending on which byte HDF5 stumbles over.
        raise DamageError(f"{path}: damaged, or not what its names promise: {_one_line(error)}") from error


@contextlib.contextmanager
def _open_blob(blob: BlobFile) -> Iterator[h5py.File]:
    try:
        file = h5py.File(blob, "r")
    except OSError as error:
        raise _fault(blob.path, error, blob.size_bytes, head=b"") from error
    try:
        with damage_named(blob.path):
            yield file
    finally:
        file.id.close()


def attribute(file: h5py.File, name: str) -> Any:  # noqa: ANN401 - whatever the file holds
    """A scalar attribute of the file as a Python value; None if there is none or it is empty.

    Twice as fast as `file.attrs`.
    """
    if not h5py.h5a.exists(file.id, name.encode()):  # an error of HDF5 for each that is not there takes longer
        return None
    found = h5py.h5a.open(file.id, name.encode())
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


def sampling_mask(
    file: h5py.File, matrix: tuple[int, int], *, is_phase_first: bool = False
) -> npt.NDArray[np.bool_] | None:
    """The file's own mask, (phase,) or (readout, phase) bool; None if it stores none.

    Args:
        file: The file.
        matrix: (readout, phase) size of k-space.
        is_phase_first: Whether the file stores arrays as (phase, readout).

    Raises:
        DataError: The mask does not fit the (readout, phase) matrix.
    """
    if b"mask" not in file.id:
        return None
    mask = np.asarray(file["mask"][()] != 0)
    mask = mask.T if is_phase_first else mask
    if mask.shape not in (matrix[1:], matrix):
        raise DataError(
            f"the mask has shape {mask.shape} but k-space has (readout, phase) {matrix}; "
            f"a mask of shape {matrix[1:]} or {matrix} would fit"
        )
    return mask


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


_IS_LOCK = "unable to lock file"


def _not_opened(path: Path, error: OSError) -> DataError:
    if path.is_dir():
        return DataError(f"{path}: a folder, not a file")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        size_bytes = path.stat().st_size
    except FileNotFoundError:
        return DataError(f"{path}: no such file")
    except OSError as refused:
        return system_fault(f"{path}: cannot be read", refused)
    if _IS_LOCK in str(error):
        who = holder(path) or "another program, maybe on another machine"
        return LockError(f"{path}: {who} has it open for writing; wait until it is closed")
    if "already open for write" in str(error):
        return LockError(
            f"{path}: marked as being written; a program has it open, or was killed while it wrote",
            "wait for the program that writes it; if there is none, take the mark away with `h5clear --status FILE`",
        )
    return _fault(path, error, size_bytes, head)


def _fault(path: Location, error: OSError, size_bytes: int, head: bytes) -> DataError:
    if "truncated" in str(error):
        return DamageError(f"{path}: a truncated HDF5 file; copy it again")
    if "signature not found" not in str(error):
        return DamageError(f"{path}: cannot be opened as HDF5: {_one_line(error)}")
    if path.suffix == ".mat":
        return NoRawDataError(f"{path}: not a MATLAB file of version 7.3; `mrikit data import` reads older ones")
    wrong = f"{path}: not an HDF5 file ({size_bytes} bytes)"
    for start, mark, kind, remedy in _SEEMS:
        if head[start:].startswith(mark):
            return FormatError(f"{wrong}; it seems to be {kind}", remedy)
    return DamageError(f"{wrong}; is the download complete?")
