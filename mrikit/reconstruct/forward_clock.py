"""The time of forward passes alone, slice by slice, as the SNU challenge takes it."""

import time
from collections.abc import Callable
from typing import TypeVar

import torch

from mrikit.reconstruct.peak_memory import device_name
from mrikit.volumes.reconstruction import Timing

_T = TypeVar("_T")

NUM_WARM_UP = 5
"""Slices at the beginning that are not counted."""


class ForwardClock:
    """Times the slices of a run, each alone, and sums them up for each volume.

    Args:
        device: Where the model computes.
        clock: Seconds.
    """

    def __init__(self, device: torch.device | str, clock: Callable[[], float] = time.perf_counter) -> None:
        self._device, self._clock = torch.device(device), clock
        self._num_seen = self._num_slices = 0
        self._seconds = self._total_seconds = 0.0

    def time(self, forward: Callable[[], _T]) -> _T:
        """What a forward pass of one slice computes, once the device has finished."""
        self._wait()
        start = self._clock()
        made = forward()
        self._wait()
        seconds = self._clock() - start
        self._num_seen += 1
        self._total_seconds += seconds
        if self._num_seen > NUM_WARM_UP:
            self._num_slices += 1
            self._seconds += seconds
        return made

    def finish_volume(self) -> Timing:
        """The time of the slices since the last volume."""
        timing = Timing(
            num_slices=self._num_slices,
            seconds=self._seconds,
            total_seconds=self._total_seconds,
            device=device_name(self._device),
        )
        self._num_slices, self._seconds, self._total_seconds = 0, 0.0, 0.0
        return timing

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
