"""`mrikit data check`: is everything there, whole, and what it says it is."""

import json
import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from jobs.places import AS_LOCATION, Location

if TYPE_CHECKING:
    from mrikit.check import Report

_SECONDS_BETWEEN_LINES = 60.0
"""Where there is no terminal to show a bar."""
_WIDE = 10_000
"""Columns where no terminal would cut lines off."""


def check(
    data: Annotated[Location, typer.Argument(help="Folder of volumes, or az://container/prefix.", **AS_LOCATION)],
    is_deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="Read every slice and compare it with its reference, and every file with the digest it was unpacked "
            "with. A check that was killed goes on where it stopped.",
        ),
    ] = False,
    is_again: Annotated[
        bool, typer.Option("--again", help="With --deep, also read again what the last check has read.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Files at a time; one per processor by default.")] = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check that all files of DATA are there, whole, and what they say they are.

    Compared are the manifests of unpacked archives and the header of every volume. Exits with 1 if any finding is an
    error; warnings are shown and counted.
    """
    from mrikit.check import check_folder
    from mrikit.errors import ConfigError

    if is_again and not is_deep:
        raise ConfigError("--again reads slices again; give --deep too")
    start = time.perf_counter()
    progress = _Progress(Console(stderr=True, highlight=False, soft_wrap=True))
    with progress.bar:
        report = check_folder(
            data,
            is_deep=is_deep,
            num_workers=workers,
            is_again=is_again,
            on_header=progress.show_headers,
            on_start=progress.begin,
            on_bytes=progress.advance,
        )
    seconds = time.perf_counter() - start
    if is_json:
        _print_json(report, seconds)
    else:
        _print_table(report, seconds)
    if report.num_errors:
        raise typer.Exit(1)


def _print_json(report: "Report", seconds: float) -> None:
    facts = {
        "folder": str(report.folder),
        "is_deep": report.is_deep,
        "num_volumes": report.num_volumes,
        "num_slices": report.num_slices,
        "num_archives": report.num_archives,
        "num_members": report.num_members,
        "num_read": report.num_read,
        "num_known": report.num_known,
        "num_errors": report.num_errors,
        "num_warnings": len(report.findings) - report.num_errors,
        "seconds": round(seconds, 3),
        "findings": [finding.as_json() for finding in report.findings],
    }
    typer.echo(json.dumps(facts))


def _print_table(report: "Report", seconds: float) -> None:
    """One row per finding, then the sums."""
    from rich.table import Table
    from rich.text import Text

    if report.findings:
        table = Table(box=None, header_style="")
        for title in ("severity", "file", "what", "what would do"):
            table.add_column(title, overflow="fold")
        for finding in report.findings:
            table.add_row(*map(Text, (finding.severity, _files(finding.files), finding.what, finding.remedy)))
        Console(width=None if Console().is_terminal else _WIDE).print(table)
    typer.echo(_in_words(report, seconds))
    if not report.is_deep and not report.num_errors:
        typer.echo(f"next: mrikit data check {report.folder} --deep")


def _files(names: tuple[str, ...]) -> str:
    if len(names) < 2:
        return names[0] if names else "(all)"
    return f"{names[0]} and {len(names) - 1} more"


def _in_words(report: "Report", seconds: float) -> str:
    num_warnings = len(report.findings) - report.num_errors
    parts = [f"{report.num_volumes} volumes, {report.num_slices} slices"]
    if report.num_archives:
        parts.append(f"{report.num_members} files of {report.num_archives} archives")
    parts.append(f"{report.num_errors} errors, {num_warnings} warnings")
    if report.is_deep:
        parts.append(f"{report.num_read} files read now, {report.num_known} known from the last check")
    else:
        parts.append("slices were not read")
    return f"{'; '.join(parts)}; {seconds:.1f} s"


class _Progress:
    """How far it is, how fast it goes and how long it will take: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self, messages: Console, clock: Callable[[], float] = time.perf_counter) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
        )
        self.bar = Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal)
        self._messages, self._clock = messages, clock
        self._task = self.bar.add_task("looking at headers", total=None, speed="")
        self._lock = Lock()
        self._num_done = self._num_bytes = 0
        self._start = self._last_line = clock()

    def show_headers(self, done: int, total: int) -> None:
        """So many files were opened."""
        self.bar.update(self._task, completed=done, total=total)

    def begin(self, num_files: int, num_bytes: int, num_known: int) -> None:
        """Say what there is to read."""
        self._num_bytes = num_bytes
        self._start = self._last_line = self._clock()
        known = f"; {num_known} are known from the last check" if num_known else ""
        self._messages.print(f"reading {num_files} files, {num_bytes / 1e9:.2f} GB{known}", markup=False)
        self.bar.reset(self._task, total=num_bytes, description="reading", speed="")

    def advance(self, name: str, num_bytes: int) -> None:
        """So many bytes more of a file; called from many threads."""
        from rich.markup import escape

        with self._lock:
            self._num_done += num_bytes
            now = self._clock()
            rate = self._num_done / max(now - self._start, 1e-9)
            speed = f"{rate / 1e6:.0f} MB/s"
            self.bar.update(self._task, advance=num_bytes, description=escape(name.rpartition("/")[2]), speed=speed)
            if not self._messages.is_terminal and now - self._last_line >= _SECONDS_BETWEEN_LINES:
                self._last_line = now
                left = max(self._num_bytes - self._num_done, 0) / max(rate, 1e-9) / 60
                self._messages.print(
                    f"{self._num_done / 1e9:.2f} of {self._num_bytes / 1e9:.2f} GB, {speed}, {left:.0f} min to go",
                    markup=False,
                )
