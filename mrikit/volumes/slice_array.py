"""SliceArray: an array that is read slice by slice."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ComputedSlices:
    """A SliceArray whose slices are computed from those of another when they are asked for."""

    source: SliceArray
    shape: tuple[int, ...]
    """Sizes of all axes, slice first."""
    compute: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
    """Makes a slice of a slice of the source."""

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, slice_index: int) -> npt.NDArray[Any]:
        """One slice, without its leading axis."""
        return self.compute(self.source[slice_index])

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        """All slices in order."""
        return (self.compute(one) for one in self.source)
