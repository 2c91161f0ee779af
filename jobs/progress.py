"""How far a command is, on a terminal or in a log."""

import time
from collections.abc import Callable
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING, Self

from rich.console import Console

from mrikit.commands.output import messages_console
from mrikit.words import in_bytes, in_time

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_SECONDS_BETWEEN_LINES = 60.0
_BYTES = "bytes"


class Progress:
    """Title, done of total, rate and time left: as bars on a terminal, elsewhere as a line a minute.

    Several threads may call at once. Within the block a line comes also while nothing is counted, as in a validation
    of many minutes, so that the log of a job tells that it goes on.

    Args:
        title: What is being done.
        unit: What is counted: `slices`, `steps`, `files`. Bytes are shown as `93.8 GB`.
        total: All that is to be done; None while nobody knows.
        messages: Where to write; standard error by default.
        clock: Seconds.
    """

    def __init__(
        self,
        title: str,
        unit: str = _BYTES,
        total: float | None = None,
        *,
        messages: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.messages = messages or messages_console()
        self._clock, self._lock, self._ended = clock, RLock(), Event()
        self._bars = _bars(self.messages) if self.messages.is_terminal else None
        self._beating: Thread | None = None
        self._tasks: dict[str, TaskID] = {}
        self.begin(title, unit, total)

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
        else:
            self._beating = Thread(target=self._beat, name="mrikit-progress", daemon=True)
            self._beating.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bars away, and print no more by itself; also done at the end of the block."""
        self._ended.set()
        if self._beating:
            self._beating.join()
        if self._bars:
            self._bars.stop()

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self.messages.print(line, markup=False, highlight=False, soft_wrap=True)

    def begin(self, title: str, unit: str = _BYTES, total: float | None = None, *, done: float = 0.0) -> None:
        """Start to count and to measure the rate; what was `done` before adds nothing to the rate."""
        with self._lock:
            self._title, self._unit, self._total, self._note = title, unit, total, ""
            self._first = done
            self._start = self._last_line = self._clock()
            self.end_part("")  # a new bar: rich cannot make a total unknown again
            self.show(done)

    def advance(self, amount: float, *, at: str = "") -> None:
        """Count so much more; see `show`."""
        with self._lock:
            self.show(self._done + amount, at=at)

    def show(self, done: float, total: float | None = None, *, at: str = "", note: str = "") -> None:
        """Show how much is done.

        Args:
            done: So far.
            total: All that is to be done, if that is another number than before.
            at: What it is at, such as a file; for the bar alone.
            note: What else is worth knowing.
        """
        with self._lock:
            self._done, self._total, self._note = done, self._total if total is None else total, note
            if self._bars:
                self._draw("", f"{self._title} {at}".strip(), done, self._total, self._facts(self._clock()))
            else:
                self.tick()

    def tick(self) -> None:
        """Print a line if a minute went by without one; for a log."""
        with self._lock:
            now = self._clock()
            if self._bars is None and now - self._last_line >= _SECONDS_BETWEEN_LINES:
                self._last_line = now
                is_silent = self._total is None and self._done == self._first
                waited = f"nothing counted yet, after {in_time(now - self._start)}"
                self.say(f"{self._title}: {waited if is_silent else self._facts(now)}")

    def show_part(self, name: str, done: float, total: float) -> None:
        """Show a bar for one of several things in work; a log has the sum alone."""
        with self._lock:
            if self._bars:
                self._draw(name, name, done, total, self._amount(done, total))

    def end_part(self, name: str) -> None:
        """Take the bar of a part away."""
        with self._lock:
            if self._bars and name in self._tasks:
                self._bars.remove_task(self._tasks.pop(name))

    def _beat(self) -> None:
        """Print a line a minute until the end, also where nobody counts."""
        while not self._ended.wait(max(_SECONDS_BETWEEN_LINES - (self._clock() - self._last_line), 0.1)):
            self.tick()

    def _draw(self, name: str, title: str, done: float, total: float | None, facts: str) -> None:
        assert self._bars is not None
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(title, total=None, facts="")
        self._bars.update(self._tasks[name], total=total, completed=done, description=title, facts=facts)

    def _facts(self, now: float) -> str:
        rate = max(self._done - self._first, 0) / max(now - self._start, 1e-9)
        facts = [self._amount(self._done, self._total), _in_words(rate, self._unit)]
        if rate and self._total is not None:
            facts.append(f"{in_time(max(self._total - self._done, 0) / rate)} to go")
        return ", ".join([*facts, *([self._note] if self._note else [])])

    def _amount(self, done: float, total: float | None) -> str:
        if self._unit == _BYTES:
            return in_bytes(done) + (f" of {in_bytes(total)}" if total is not None else "")
        return f"{done:.0f}" + (f" of {total:.0f}" if total is not None else "") + f" {self._unit}"


def _in_words(rate: float, unit: str) -> str:
    if unit == _BYTES:
        return f"{in_bytes(rate)}/s"
    return f"{rate:.1f} {unit}/s" if rate >= 1 or not rate else f"{rate * 60:.1f} {unit}/min"


def _bars(messages: Console) -> "Bars":
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[facts]}", markup=False),
    )
    return Bars(*columns, console=messages, transient=True)
