"""Arrays in files that are read part by part, in bounded memory."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError

MAPPED_BYTES = 2**26
"""So much of a file is mapped at a time: what was read stays resident as long as it is mapped."""
Index = tuple[int | slice, ...]
"""What is taken from each axis."""


class StoredArray(Protocol):
    """An array of which parts are read when they are asked for; a numpy array and an HDF5 dataset are such."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values as they are stored."""
        ...

    def __getitem__(self, index: Index, /) -> npt.NDArray[Any]:
        """The values at an index or range of each axis."""
        ...


@dataclass(frozen=True, slots=True)
class FlatFile:
    """An array that lies in one piece in a file, last axis fastest."""

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    first_byte: int

    def __getitem__(self, index: Index) -> npt.NDArray[Any]:
        """The values at an index or range of each axis.

        Raises:
            DataError: The file cannot be read, or ends before.
        """
        first, *others = index
        rows = range(self.shape[0])[first]
        wanted = [rows] if isinstance(rows, int) else list(rows)
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        step = max(1, MAPPED_BYTES // max(row_bytes, 1))
        found = self._read(wanted[:step], tuple(others), row_bytes)
        if len(wanted) > step:
            whole = np.empty((len(wanted), *found.shape[1:]), self.dtype)
            whole[:step] = found
            for start in range(step, len(wanted), step):
                whole[start : start + step] = self._read(wanted[start : start + step], tuple(others), row_bytes)
            found = whole
        return found[0] if isinstance(rows, int) else found

    def _read(self, rows: list[int], others: Index, row_bytes: int) -> npt.NDArray[Any]:
        """Consecutive rows, mapped anew and copied."""
        try:
            mapped = np.memmap(
                self.path, self.dtype, "r", self.first_byte + rows[0] * row_bytes, (len(rows), *self.shape[1:])
            )
            return np.array(mapped[(slice(None), *others)])
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path}: cannot be read, or is truncated: {error}") from error


@dataclass(frozen=True, slots=True)
class Reversed:
    """An array with its axes in reverse, as of Fortran and MATLAB."""

    stored: StoredArray

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes."""
        return self.stored.shape[::-1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values as they are stored."""
        return self.stored.dtype

    def __getitem__(self, index: Index) -> npt.NDArray[Any]:
        """The values at an index or range of each axis."""
        return self.stored[index[::-1]].T
