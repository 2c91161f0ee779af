"""HeldFile: a local file that is opened once for all that is read of a volume."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import h5py

from mrikit.volumes.hdf5 import damage_named, open_file

T = TypeVar("T")


class HeldFile:
    """A local file that is opened when it is first read, for many threads, and then stays open.

    Whoever reads a volume slice by slice so reads the file that was there at first, even if another takes its name.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: h5py.File | None = None
        self._descriptor: int | None = None

    @contextlib.contextmanager
    def descriptor(self) -> Iterator[int]:
        """The open file, for reads at known bytes.

        Raises:
            OSError: It cannot be opened.
        """
        with self._lock:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDONLY)
        yield self._descriptor

    def read_hdf5(self, read: Callable[[h5py.File], T]) -> T:
        """What `read` finds in the open HDF5 file, as `mrikit.volumes.hdf5.read_hdf5`.

        Raises:
            DataError: The file is missing or no HDF5, or proves damaged.
        """
        with self._lock:
            if self._file is None:
                self._file = open_file(self._path)
        with damage_named(self._path):
            return read(self._file)

    def close(self) -> None:
        """Close it; reading it again would open it again."""
        with self._lock:
            if self._file is not None:
                self._file.id.close()
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._file = self._descriptor = None
