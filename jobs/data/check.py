"""`mrikit data check`: is everything there, whole, and what it says it is."""

import json
import shlex
import time
from typing import TYPE_CHECKING, Annotated

import typer

from mrikit.commands.natural import AS_DATA
from mrikit.commands.output import results_console
from mrikit.commands.places import Location
from mrikit.commands.progress import Progress
from mrikit.words import counted, in_bytes

if TYPE_CHECKING:
    from mrikit.check import Report


_MOST_NAMED = 2


def check(
    data: Annotated[
        Location | None,
        typer.Argument(**AS_DATA, help="Volumes; a folder or az://container/prefix. MRIKIT_DATA or data/ by default."),
    ] = None,
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

    assert data is not None
    if is_again and not is_deep:
        raise ConfigError("--again reads slices again; give --deep too")
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers {workers}: at least 1 is needed")
    start = time.perf_counter()
    progress = Progress("looking at headers", "files")

    def begin(num_files: int, num_bytes: int, num_known: int) -> None:
        known = f"; {num_known} are known from the last check" if num_known else ""
        progress.say(f"reading {counted(num_files, 'file')}, {in_bytes(num_bytes)} for slices and digests{known}")
        progress.begin("reading", total=num_bytes)

    with progress:
        report = check_folder(
            data,
            is_deep=is_deep,
            num_workers=workers,
            is_again=is_again,
            on_header=progress.show,
            on_start=begin,
            on_bytes=lambda name, num_bytes: progress.advance(num_bytes, at=name.rpartition("/")[2]),
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
        results_console().print(table)
    typer.echo(_in_words(report, seconds))
    if not report.is_deep and not report.num_errors:
        typer.echo(f"next: mrikit data check {shlex.quote(str(report.folder))} --deep")


def _files(names: tuple[str, ...]) -> str:
    if len(names) <= _MOST_NAMED:
        return " and ".join(names) or "(all)"
    return f"{names[0]} and {len(names) - 1} more"


def _in_words(report: "Report", seconds: float) -> str:
    num_warnings = len(report.findings) - report.num_errors
    parts = [f"{counted(report.num_volumes, 'volume')}, {counted(report.num_slices, 'slice')}"]
    if report.num_archives:
        parts.append(f"{counted(report.num_members, 'file')} of {counted(report.num_archives, 'archive')}")
    parts.append(f"{counted(report.num_errors, 'error')}, {counted(num_warnings, 'warning')}")
    if report.is_deep:
        parts.append(f"{counted(report.num_read, 'file')} read now, {report.num_known} known from the last check")
    else:
        parts.append("slices were not read")
    return f"{'; '.join(parts)}; {seconds:.1f} s"
