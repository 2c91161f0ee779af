"""How the data commands speak: consoles, bytes, times, and how far something is."""

import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console

from mrikit.storage.amounts import in_bytes

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = [
    "MinuteLines",
    "are_one",
    "byte_bars",
    "counted",
    "expiry",
    "in_bytes",
    "in_time",
    "messages_console",
    "results_console",
]

_WIDE = 10_000
"""Columns where no terminal would cut lines off: a pipe counts as narrow, and rich drops what is beyond."""
_SECONDS_BETWEEN_LINES = 60.0


def results_console() -> Console:
    """Standard output, as wide as it has to be."""
    return _console(is_stderr=False)


def messages_console() -> Console:
    """Standard error, for plans, progress and warnings."""
    return _console(is_stderr=True)


def in_time(seconds: float) -> str:
    """The two largest units: `6 d 3 h`, `2 h 5 min`, `40 s`."""
    time_span = timedelta(seconds=abs(seconds))
    minutes, rest = divmod(time_span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if time_span.days:
        return f"{time_span.days} d {hours} h" if time_span.days < 10 and hours else f"{time_span.days} d"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{rest} s"


def expiry(seconds_left: float | None) -> str:
    """When a link ends, by this machine's clock: `in 6 d 3 h`, `expired 3 d ago`, `?` where it does not say."""
    if seconds_left is None:
        return "?"
    return f"in {in_time(seconds_left)}" if seconds_left > 0 else f"expired {in_time(seconds_left)} ago"


def counted(count: int, noun: str) -> str:
    """`1 archive`, `2 archives`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


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
