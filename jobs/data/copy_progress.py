"""How far a copy is: bars on a terminal, elsewhere a line now and then."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self

from rich.console import Console

from mrikit.commands.output import MinuteLines, byte_bars

if TYPE_CHECKING:
    from rich.progress import TaskID

    from mrikit.transfer.results import CopyEvent


class CopyProgress:
    """One bar for each archive on its way; one for all that is to come, with rate and time left.

    Args:
        messages: Where to show it.
        to_come: Bytes that the plan calls missing, of each archive that can be copied; of the others the plan has told
            why not.
        clock: Seconds.
    """

    def __init__(
        self, messages: Console, to_come: Mapping[str, int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._messages = messages
        self._to_come, self._moved = dict(to_come), dict.fromkeys(to_come, 0)
        self._bar, self._lines = byte_bars(messages), MinuteLines(messages, clock)
        self._total = self._bar.add_task("all", total=sum(to_come.values()))
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def show(self, event: "CopyEvent") -> None:
        """Something happened; one call at a time."""
        is_told = event.kind == "moved" or (event.kind == "end" and event.name not in self._to_come)
        if event.message and not is_told:
            self._messages.print(event.message, markup=False, highlight=False, soft_wrap=True)
        if event.kind == "begin":
            self._begin(event)
        elif event.kind == "moved":
            self._moved[event.name] = self._moved.get(event.name, 0) + event.num_bytes
            if event.name in self._tasks:
                self._bar.advance(self._tasks[event.name], event.num_bytes)
        elif event.kind == "end":
            # What an archive that failed still lacks is not to come any more.
            self._to_come[event.name] = self._moved.get(event.name, 0)
            if event.name in self._tasks:
                self._bar.remove_task(self._tasks.pop(event.name))
        self._show_total()

    def _begin(self, event: "CopyEvent") -> None:
        # What is there already is no speed: it leaves what is to come.
        self._to_come[event.name] = event.size_bytes - event.num_bytes
        if event.name in self._tasks:
            self._bar.remove_task(self._tasks[event.name])
        self._tasks[event.name] = self._bar.add_task(event.name, total=event.size_bytes, completed=event.num_bytes)

    def _show_total(self) -> None:
        moved, to_come = sum(self._moved.values()), sum(self._to_come.values())
        self._bar.update(self._total, total=to_come, completed=moved)
        self._lines.show(moved, to_come)
