"""HeldSlices: slices of a file that several readers need, each read once and kept until it is let go."""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import numpy.typing as npt

from mrikit.volumes import SliceArray


class HeldSlices:
    """A SliceArray that remembers what it read; it can be used by many threads, of which one reads a slice.

    Args:
        slices: Where they come from.
    """

    def __init__(self, slices: SliceArray) -> None:
        self._slices = slices
        self._held: dict[int, Future[npt.NDArray[Any]]] = {}
        self._lock = threading.Lock()

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes, slice first."""
        return self._slices.shape

    def __len__(self) -> int:
        return len(self._slices)

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[slice_index] for slice_index in range(len(self)))

    def __getitem__(self, slice_index: int) -> npt.NDArray[Any]:
        """One slice, not to be written to; an error in reading it is raised for all who ask.

        Raises:
            DataError: It is damaged.
            IndexError: There is no such slice.
        """
        slice_index = range(len(self))[slice_index]
        with self._lock:
            is_ours = slice_index not in self._held
            held = self._held.setdefault(slice_index, Future())
        if is_ours:
            try:
                held.set_result(np.asarray(self._slices[slice_index]))
            except BaseException as error:
                held.set_exception(error)
                raise
        return held.result()

    @property
    def num_held(self) -> int:
        """How many slices are in memory."""
        return len(self._held)

    def let_go(self, slice_indices: Iterable[int]) -> None:
        """Forget slices; whoever asks for one again has it read again."""
        with self._lock:
            for slice_index in slice_indices:
                self._held.pop(slice_index, None)


class Readers:
    """Who still needs which slice, where every slice is reconstructed together with its neighbours.

    Args:
        num_slices: Of the volume.
        num_adjacent: Slices that are read for each, itself in the middle; odd.
    """

    def __init__(self, num_slices: int, num_adjacent: int) -> None:
        reach = num_adjacent // 2
        self._waiting = [
            set(range(max(index - reach, 0), min(index + reach + 1, num_slices))) for index in range(num_slices)
        ]
        self._reach = reach
        self._lock = threading.Lock()

    def finish(self, centers: Iterable[int]) -> list[int]:
        """Say that these slices were read with their neighbours; the slices that nobody needs any more."""
        done = []
        with self._lock:
            for center in centers:
                for index in range(max(center - self._reach, 0), min(center + self._reach + 1, len(self._waiting))):
                    self._waiting[index].discard(center)
                    if not self._waiting[index]:
                        done.append(index)
        return done
