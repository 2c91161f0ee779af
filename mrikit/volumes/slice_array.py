"""SliceArray: an array that is read slice by slice."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy.typing as npt


class SliceArray(Protocol):
    """An array whose leading axis is the slice; a slice is read from disk when it is asked for.

    A plain numpy array is one too.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes, slice first."""
        ...

    def __len__(self) -> int:
        """Number of slices."""
        ...

    def __getitem__(self, slice_index: int) -> npt.NDArray[Any]:
        """One slice, without its leading axis."""
        ...

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        """All slices in order."""
        ...
