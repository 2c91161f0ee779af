"""Bytes counted as they come, long before their block is whole."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SECONDS_BETWEEN = 0.2


class Arrivals:
    """Tells which block the bytes belong to that a source hands over: each thread fetches one block at a time.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._thread = threading.local()

    @contextmanager
    def of_block(self, num_bytes: int, on_moved: Callable[[int], None]) -> Iterator[None]:
        """This thread fetches a block; if that fails, what came of it is given back.

        Args:
            num_bytes: Of the block; 0 if they are not to be counted.
            on_moved: Called a few times a second with what came since, and at the end with the rest.
        """
        block = self._thread.block = _Block(num_bytes, on_moved, self._clock)
        try:
            yield
        except BaseException:
            block.tell(0)
            raise
        else:
            block.tell(num_bytes)
        finally:
            self._thread.block = None

    def count(self, num_bytes: int) -> None:
        """So many bytes have come in this thread."""
        block: _Block | None = getattr(self._thread, "block", None)
        if block is not None:
            block.add(num_bytes)


class _Block:
    def __init__(self, num_bytes: int, on_moved: Callable[[int], None], clock: Callable[[], float]) -> None:
        self._num_bytes, self._on_moved, self._clock = num_bytes, on_moved, clock
        self._come = self._told = 0
        self._told_at = clock()

    def add(self, num_bytes: int) -> None:
        # What comes a second time is not more of the block.
        self._come = min(self._come + num_bytes, self._num_bytes)
        if self._clock() - self._told_at >= _SECONDS_BETWEEN:
            self.tell(self._come)

    def tell(self, come: int) -> None:
        """So much of it is there by now."""
        self._told_at = self._clock()
        if come != self._told:
            more, self._told = come - self._told, come
            self._on_moved(more)
