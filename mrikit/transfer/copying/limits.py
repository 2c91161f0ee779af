"""The bounds of a copy: bytes in memory and bytes per second, shared by all of its threads."""

import threading
import time
from collections.abc import Callable


class Buffers:
    """A fixed number of buffers; memory is touched only for as many as were ever in use at once."""

    def __init__(self, num_buffers: int, buffer_bytes: int) -> None:
        self._num_unused, self._buffer_bytes = num_buffers, buffer_bytes
        self._free: list[bytearray] = []
        self._is_closed = False
        self._changed = threading.Condition()

    def take(self) -> bytearray | None:
        """A buffer, as soon as one is free; None once they are closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._free or self._num_unused)
            if self._is_closed:
                return None
            if self._free:
                return self._free.pop()
            self._num_unused -= 1
        return bytearray(self._buffer_bytes)

    def give(self, buffer: bytearray) -> None:
        """Back for the next thread."""
        with self._changed:
            self._free.append(buffer)
            self._changed.notify()

    def close(self) -> None:
        """Send away who waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


class RateLimit:
    """At most so many bytes per second on average, over all threads that call `pace`.

    Args:
        bytes_per_s: The bound; None for none.
        wait: Waits for so many seconds, or less if the copy is stopped.
        clock: Seconds.
    """

    def __init__(
        self, bytes_per_s: float | None, wait: Callable[[float], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bytes_per_s, self._wait, self._clock = bytes_per_s, wait, clock
        self._lock = threading.Lock()
        self._free_at = clock()

    def pace(self, num_bytes: int) -> None:
        """These bytes have come: wait until the next ones may."""
        if self._bytes_per_s is None:
            return
        with self._lock:
            # Time in which nothing came is not made up for.
            self._free_at = max(self._free_at, self._clock()) + num_bytes / self._bytes_per_s
            delay = self._free_at - self._clock()
        if delay > 0:
            self._wait(delay)
