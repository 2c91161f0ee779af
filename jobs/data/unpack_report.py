"""What has become of archives that were unpacked, as a table or as JSON."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mrikit.commands.output import results_console
from mrikit.errors import MrikitError
from mrikit.words import counted, in_bytes

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from mrikit.transfer.unpacking.unpack_all import Outcome

_SHOWN = 10
"""Refused or missing members that are listed for each archive; the manifest has all."""


def print_table(outcomes: "Mapping[str, Outcome]") -> None:
    """A row for each archive, and below what is not right."""
    from rich.table import Table

    from mrikit.transfer.unpacking.manifest import describe_mismatch
    from mrikit.transfer.unpacking.reasons import COPY_AGAIN

    console = results_console()
    table = Table("archive", "checksum", "state", "complete", "done", "refused", "written", box=None, header_style="")
    notes = []
    for name, outcome in outcomes.items():
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
            in_bytes(outcome.written_bytes),
        )
        if archive.where:
            remedy = f"; {COPY_AGAIN}" if archive.state in ("truncated", "damaged") else ""
            notes.append(f"{name}: {archive.state}: {archive.where}{remedy}")
        if archive.checksum == "mismatch":
            notes.append(f"{name}: {describe_mismatch(archive)}; {COPY_AGAIN}, then unpack it")
        notes += _first(f"{name}: refused", [f"{member.name}: {member.reason}" for member in manifest.refused])
        notes += _first(f"{name}: missing", list(archive.completeness.missing))
        if archive.completeness.num_unexpected:
            notes.append(f"{name}: {counted(archive.completeness.num_unexpected, 'volume')} more than published")
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


def facts(name: str, outcome: "Outcome", deleted: "Container[str]") -> "dict[str, Any]":
    """An archive for --json.

    Args:
        name: Of the archive.
        outcome: What has become of it.
        deleted: Names of the archives that were deleted.
    """
    if isinstance(outcome, MrikitError):
        return {"archive": name, "is_ok": False, "error": str(outcome), "is_deleted": name in deleted}
    archive = asdict(outcome.manifest.archive)
    return {
        "archive": archive.pop("name"),
        "is_ok": outcome.is_ok,
        **archive,
        "num_done": len(outcome.manifest.done),
        "num_written": outcome.num_written,
        "is_deleted": name in deleted,
        "refused": {member.name: member.reason for member in outcome.manifest.refused},
    }
