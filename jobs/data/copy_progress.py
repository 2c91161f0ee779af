"""How far a copy is."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rich.console import Console

from mrikit.commands.progress import Progress

if TYPE_CHECKING:
    from mrikit.transfer.results import CopyEvent


class CopyProgress:
    """A part for each archive on its way; the sum is what moves now, of what is to come.

    Args:
        messages: Where to show it.
        to_come: Bytes that the plan calls missing, of each archive that can be copied; of the others the plan has told
            why not.
        clock: Seconds.
    """

    def __init__(
        self, messages: Console, to_come: Mapping[str, int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._to_come, self._moved = dict(to_come), dict.fromkeys(to_come, 0)
        self._parts: dict[str, tuple[int, int]] = {}
        """Bytes that are there and size, of each archive on its way."""
        self.progress = Progress("copy", total=sum(to_come.values()), messages=messages, clock=clock)

    def show(self, event: "CopyEvent") -> None:
        """Something happened; one call at a time."""
        is_told = event.kind == "moved" or (event.kind == "end" and event.name not in self._to_come)
        if event.message and not is_told:
            self.progress.say(event.message)
        if event.kind == "begin":
            # What is there already is no speed: it leaves what is to come.
            self._to_come[event.name] = event.size_bytes - event.num_bytes
            self._show_part(event.name, event.num_bytes, event.size_bytes)
        elif event.kind == "moved":
            self._moved[event.name] = self._moved.get(event.name, 0) + event.num_bytes
            if event.name in self._parts:
                done, size = self._parts[event.name]
                self._show_part(event.name, done + event.num_bytes, size)
        elif event.kind == "end":
            # What an archive that failed still lacks is not to come any more.
            self._to_come[event.name] = self._moved.get(event.name, 0)
            self._parts.pop(event.name, None)
            self.progress.end_part(event.name)
        self.progress.show(sum(self._moved.values()), sum(self._to_come.values()))

    def _show_part(self, name: str, done: int, size: int) -> None:
        self._parts[name] = done, size
        self.progress.show_part(name, done, size)
