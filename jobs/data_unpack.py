"""`mrikit data unpack`: archives to verified volumes."""

import json
import shlex
import time
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from jobs.places import AS_LOCATION, Location
from mrikit.errors import MrikitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mrikit.transfer.unpacking.unpack import UnpackEvent, UnpackSettings
    from mrikit.transfer.unpacking.unpack_all import Outcome, UnpackJob

_SECONDS_BETWEEN_LINES = 60.0
_WIDE = 10_000
"""Columns where no terminal would cut lines off."""
_SHOWN = 10
"""Refused or missing members that are listed for each archive; the manifest has all."""


def unpack(
    archives: Annotated[
        list[Location], typer.Argument(help="Archives, or folders or az:// prefixes of archives.", **AS_LOCATION)
    ],
    to: Annotated[Location, typer.Option(help="Folder or az://container/prefix for the members.", **AS_LOCATION)],
    members: Annotated[
        Path | None, typer.Option(help="Published names of volumes: ARCHIVE.txt, or a folder of such files.")
    ] = None,
    volumes: Annotated[int | None, typer.Option(help="Stop after so many files of each archive.")] = None,
    checksums: Annotated[Path | None, typer.Option(help="The published SHA256 file.")] = None,
    at_once: Annotated[int | None, typer.Option(help="Archives at a time; one per processor by default.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads that decode; one per processor by default.")] = None,
    memory: Annotated[int, typer.Option(help="MiB for blocks of .tar.xz archives in flight, all together.")] = 1024,
    keep_archives: Annotated[
        bool, typer.Option(help="Keep archives; otherwise each goes once it is whole, complete and unpacked.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Unpack archives of any kind and name: tar, plain or in xz, gz, zst or bz2.

    The same command goes on where an interrupted one stopped. Checksum, the archive's own end and completeness are
    reported each for itself; exits with 1 if one of them is not right, or a member was refused.
    """
    from mrikit.transfer.unpacking.unpack import UnpackSettings
    from mrikit.transfer.unpacking.unpack_all import unpack_all

    messages = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    chosen = {} if workers is None else {"num_workers": workers}
    settings = UnpackSettings(memory_bytes=memory * 2**20, num_volumes=volumes, **chosen)
    paths, jobs = _plan(archives, to, members, checksums, settings, messages)
    if dry_run:
        return
    progress = _Progress(messages, {job.source.name: job.source.size_bytes for job in jobs})
    removed: list[Location] = []

    def finish(job: "UnpackJob", outcome: "Outcome") -> None:
        progress.finish(job.source.name)
        if not keep_archives and _is_finished(outcome):
            from mrikit.storage import remove

            remove(paths[job.source.name])
            removed.append(paths[job.source.name])

    with progress:
        outcomes = unpack_all(jobs, to, settings=settings, at_once=at_once, on_event=progress.show, on_outcome=finish)
    names = [job.source.name for job in jobs]
    if is_json:
        typer.echo(json.dumps([_facts(name, outcome) for name, outcome in zip(names, outcomes, strict=True)]))
    else:
        _print_table(names, outcomes)
        for path in removed:
            typer.echo(f"deleted: {path}")
        typer.echo(f"next: mrikit data index {shlex.quote(str(to))}")
    if not all(_is_ok(outcome) for outcome in outcomes):
        raise typer.Exit(1)


def _plan(
    places: "Sequence[Location]",
    to: Location,
    members: Path | None,
    checksums: Path | None,
    settings: "UnpackSettings",
    messages: Console,
) -> "tuple[dict[str, Location], list[UnpackJob]]":
    """Where each archive lies and what is known of it; says what will be done."""
    from mrikit.errors import ConfigError, StorageError
    from mrikit.transfer.catalogue import load_catalogue
    from mrikit.transfer.checksums import parse_checksums
    from mrikit.transfer.source import FileSource
    from mrikit.transfer.unpacking.find_archives import find_archives, find_members, read_member_lists
    from mrikit.transfer.unpacking.unpack_all import UnpackJob

    found = find_archives(places)
    lists = read_member_lists(members) if members else {}
    digests: dict[str, str] = {}
    if checksums is not None:
        try:
            digests = parse_checksums(checksums.read_text(encoding="utf-8"), str(checksums))
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"{checksums}: cannot be read: {error}") from error
    paths: dict[str, Location] = {}
    jobs = []
    for path in found.archives:
        if path.name in paths:
            raise ConfigError(f"{path} and {paths[path.name]} have one name; unpack them into two folders")
        paths[path.name] = path
        listed = load_catalogue().find(path.name)
        published = find_members(lists, path.name)
        jobs.append(
            UnpackJob(
                source=FileSource(path),
                published=published,
                num_published=listed.num_volumes if listed and published is None else None,
                digest=digests.get(path.name),
            )
        )
    if not jobs:
        raise StorageError(f"{', '.join(map(str, places))}: no archive among {found.num_others} files")
    size = sum(job.source.size_bytes for job in jobs)
    amount = "all" if settings.num_volumes is None else f"the first {settings.num_volumes}"
    messages.print(
        f"unpack: {len(jobs)} archives, {size / 1e9:.3f} GB, {amount} of their files, to {to}; "
        f"{sum(job.digest is not None for job in jobs)} published digests, "
        f"{sum(job.published is not None for job in jobs)} lists and "
        f"{sum(job.num_published is not None for job in jobs)} counts of members; "
        f"{settings.num_workers} threads decode, {settings.memory_bytes / 2**20:.0f} MiB for blocks in flight"
    )
    if found.num_others:
        messages.print(f"passed over: {found.num_others} files that are no archives")
    return paths, jobs


class _Progress:
    """A bar for each archive, or a line a minute where there is no terminal."""

    def __init__(self, messages: Console, sizes: dict[str, int]) -> None:
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
        self._total = self._bar.add_task("all", total=sum(sizes.values()))
        self._sizes, self._messages, self._lock = sizes, messages, Lock()
        self._positions = dict.fromkeys(sizes, 0)
        self._tasks: dict[str, Any] = {}
        self._last_line = time.monotonic()

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def show(self, event: "UnpackEvent") -> None:
        """An archive has gone on."""
        with self._lock:
            if event.archive not in self._tasks:
                self._tasks[event.archive] = self._bar.add_task(event.archive, total=self._sizes[event.archive])
            self._move(event.archive, event.position_bytes)
            now = time.monotonic()
            if not self._messages.is_terminal and now - self._last_line >= _SECONDS_BETWEEN_LINES:
                self._last_line = now
                done, size = sum(self._positions.values()), sum(self._sizes.values())
                self._messages.print(f"{done / 1e9:.1f} of {size / 1e9:.1f} GB of archives unpacked")

    def finish(self, archive: str) -> None:
        """An archive is over."""
        with self._lock:
            self._move(archive, self._sizes[archive])
            if archive in self._tasks:
                self._bar.remove_task(self._tasks.pop(archive))

    def _move(self, archive: str, position: int) -> None:
        self._positions[archive] = position
        if archive in self._tasks:
            self._bar.update(self._tasks[archive], completed=position)
        self._bar.update(self._total, completed=sum(self._positions.values()))


def _is_ok(outcome: "Outcome") -> bool:
    return not isinstance(outcome, MrikitError) and outcome.is_ok


def _is_finished(outcome: "Outcome") -> bool:
    """Whether the archive is not needed any more."""
    return not isinstance(outcome, MrikitError) and outcome.is_ok and outcome.manifest.archive.state == "whole"


def _print_table(names: "Sequence[str]", outcomes: "Sequence[Outcome]") -> None:
    from rich.table import Table

    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDE
    table = Table("archive", "checksum", "state", "complete", "done", "refused", "written", box=None, header_style="")
    notes = []
    for name, outcome in zip(names, outcomes, strict=True):
        if isinstance(outcome, MrikitError):
            table.add_row(name, "-", "failed", "-", "-", "-", "-")
            notes.append(str(outcome))
            continue
        archive, manifest = outcome.manifest.archive, outcome.manifest
        table.add_row(
            name,
            archive.checksum,
            archive.state,
            _describe_completeness(outcome),
            str(len(manifest.done)),
            str(len(manifest.refused)),
            f"{outcome.written_bytes / 1e6:.1f} MB",
        )
        if archive.where:
            notes.append(f"{name}: {archive.state}: {archive.where}")
        notes += _first(f"{name}: refused", [f"{member.name}: {member.reason}" for member in manifest.refused])
        notes += _first(f"{name}: missing", list(archive.completeness.missing))
        if archive.completeness.num_unexpected:
            notes.append(f"{name}: {archive.completeness.num_unexpected} volumes more than published")
    console.print(table)
    for note in notes:
        console.print(note)


def _describe_completeness(outcome: "Outcome") -> str:
    assert not isinstance(outcome, MrikitError)
    found = outcome.manifest.archive.completeness
    if found.num_expected is None:
        return "unknown (no published list)"
    return f"{found.state} ({found.num_expected - found.num_missing} of {found.num_expected})"


def _first(title: str, lines: "list[str]") -> "list[str]":
    """The first lines of many, each with a title."""
    shown = [f"{title}: {line}" for line in lines[:_SHOWN]]
    return shown + ([f"{title}: {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])


def _facts(name: str, outcome: "Outcome") -> "dict[str, Any]":
    from dataclasses import asdict

    if isinstance(outcome, MrikitError):
        return {"archive": name, "is_ok": False, "error": str(outcome)}
    archive = asdict(outcome.manifest.archive)
    return {
        "archive": archive.pop("name"),
        "is_ok": outcome.is_ok,
        **archive,
        "num_done": len(outcome.manifest.done),
        "num_written": outcome.num_written,
        "refused": {member.name: member.reason for member in outcome.manifest.refused},
    }
