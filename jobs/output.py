"""How the data commands speak: consoles, bytes, times, and how far something is."""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console

from mrikit.words import in_bytes, in_time

if TYPE_CHECKING:
    from rich.progress import Progress

_WIDE = 10_000
"""Columns where no terminal would cut lines off: a pipe counts as narrow, and rich drops what is beyond."""
_SECONDS_BETWEEN_LINES = 60.0


def results_console() -> Console:
    """Standard output, as wide as it has to be."""
    return _console(is_stderr=False)


def messages_console() -> Console:
    """Standard error, for plans, progress and warnings."""
    return _console(is_stderr=True)


def are_one(output: Console, messages: Console) -> bool:
    """Whether both write to one place, such as a terminal or a log: what one has said the other need not repeat."""
    try:
        return os.path.sameopenfile(output.file.fileno(), messages.file.fileno())
    except (OSError, ValueError):  # what is no file at all
        return False


def byte_bars(messages: Console) -> "Progress":
    """Bars with bytes, rate and time left; nothing where `messages` is no terminal."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal)


class MinuteLines:
    """Where no terminal shows bars: how far it is, how fast it goes and how long it will take, a line a minute.

    Not for many threads at once: the caller holds a lock.

    Args:
        messages: Where to write.
        clock: Seconds; the rate is that since now.
    """

    def __init__(self, messages: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._messages, self._clock = messages, clock
        self._start = self._last_line = clock()

    def show(self, done_bytes: int, size_bytes: int) -> None:
        """So much is done; says so if a minute has passed.

        Args:
            done_bytes: Done since the start; what was there before counts neither here nor in `size_bytes`.
            size_bytes: All that is to be done.
        """
        now = self._clock()
        if self._messages.is_terminal or now - self._last_line < _SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        rate = max(done_bytes, 0) / (now - self._start)
        left = f", {in_time(max(size_bytes - done_bytes, 0) / rate)} to go" if rate else ""
        self._messages.print(f"{in_bytes(done_bytes)} of {in_bytes(size_bytes)}, {in_bytes(rate)}/s{left}")


def _console(*, is_stderr: bool) -> Console:
    console = Console(stderr=is_stderr, highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDE
    return console
