"""How far a copy is: bars on a terminal, elsewhere a line now and then."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import TaskID

    from mrikit.transfer.results import CopyEvent

_SECONDS_BETWEEN_LINES = 60.0


class CopyProgress:
    """One bar for each archive on its way and one for all, with rate and time left.

    Args:
        messages: Where to show it.
        size_bytes: Of all archives together.
        present_bytes: Of these, what is there already and will not begin.
        clock: Seconds.
    """

    def __init__(
        self,
        messages: Console,
        size_bytes: int,
        present_bytes: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
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
        self._bar = Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal)
        self._messages, self._clock = messages, clock
        self._size_bytes, self._done_bytes, self._moved_bytes = size_bytes, present_bytes, 0
        self._total = self._bar.add_task("all", total=size_bytes, completed=present_bytes)
        self._tasks: dict[str, TaskID] = {}
        self._start = self._last_line = clock()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def show(self, event: "CopyEvent") -> None:
        """Something happened."""
        if event.message and event.kind != "moved":
            self._messages.print(event.message, markup=False, highlight=False, soft_wrap=True)
        if event.kind == "begin":
            if event.name in self._tasks:
                self._bar.remove_task(self._tasks[event.name])
            task = self._bar.add_task(event.name, total=event.size_bytes, completed=event.num_bytes)
            self._tasks[event.name] = task
            self._advance(event.num_bytes, is_moved=False)
        elif event.kind == "moved":
            if event.name in self._tasks:
                self._bar.advance(self._tasks[event.name], event.num_bytes)
            self._advance(event.num_bytes, is_moved=True)
        elif event.kind == "end" and event.name in self._tasks:
            self._bar.remove_task(self._tasks.pop(event.name))

    def _advance(self, num_bytes: int, *, is_moved: bool) -> None:
        self._done_bytes += num_bytes
        self._moved_bytes += num_bytes if is_moved else 0
        self._bar.update(self._total, completed=self._done_bytes)
        now = self._clock()
        if self._messages.is_terminal or now - self._last_line < _SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        rate = max(self._moved_bytes, 1) / (now - self._start)
        left_min = max(self._size_bytes - self._done_bytes, 0) / rate / 60
        self._messages.print(
            f"{self._done_bytes / 1e9:.1f} of {self._size_bytes / 1e9:.1f} GB, {rate / 1e6:.1f} MB/s, "
            f"{left_min:.0f} min to go",
            markup=False,
        )
