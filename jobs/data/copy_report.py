"""What `mrikit data copy` prints: the plan before, the states afterwards."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from mrikit.commands.data.copy_options import CopyOptions
from mrikit.commands.output import are_one
from mrikit.errors import StorageError
from mrikit.storage import BlobPath, Location
from mrikit.transfer.copying.preview import free_bytes
from mrikit.transfer.engines import Planned
from mrikit.transfer.results import CopyResult
from mrikit.words import counted, expiry, in_bytes

if TYPE_CHECKING:
    from mrikit.transfer.unpack_as_copied import Unpacked


def plan_facts(plan: Sequence[Planned], to: Location, done: Collection[str]) -> dict[str, Any]:
    """What will be done, as --json prints it."""
    now = datetime.now(UTC)
    rows = [_planned(one, now) for one in plan]
    try:
        free = None if isinstance(to, BlobPath) else free_bytes(to)
    except StorageError:
        free = None
    return {
        "to": str(to),
        "archives": rows,
        "unpacked_before": sorted(done),
        "size_bytes": sum(row["size_bytes"] for row in rows),
        "missing_bytes": sum(row["missing_bytes"] for row in rows),
        "free_bytes": free,
    }


def print_plan(facts: Mapping[str, Any], options: CopyOptions, console: Console) -> None:
    """The same for people."""
    table = _table("archive", "state", "size", "there", "to come", "link expires")
    for one in facts["archives"]:
        sizes = ["?"] * 3 if one["error"] else [
            in_bytes(one[field]) for field in ("size_bytes", "present_bytes", "missing_bytes")
        ]  # fmt: skip
        # When a link expires that its server calls expired is no question any more.
        ends = "" if one["state"] == "expired" else expiry(one["seconds_left"])
        table.add_row(one["name"], one["state"], *sizes, ends)
    console.print(table)
    for one in facts["archives"]:
        if one["error"] or one["note"]:
            console.print(one["error"] or one["note"])
    for name in facts["unpacked_before"]:
        console.print(f"{name}: unpacked and verified before")
    lost = [one["name"] for one in facts["archives"] if one["error"]]
    num_archives = len(facts["archives"])
    if lost:
        console.print(f"{len(lost)} of {counted(num_archives, 'archive')} cannot be copied: {', '.join(lost)}")
    elif not num_archives:
        console.print(f"nothing is to come to {facts['to']}")
    if len(lost) == num_archives:
        return
    if options.mode == "volumes":
        amount = f"at most {counted(options.volumes or 0, 'volume')} of each"
        console.print(f"{amount} to {facts['to']}; no archive is kept")
        return
    free = f"; {in_bytes(facts['free_bytes'])} of disk are free" if facts["free_bytes"] is not None else ""
    afterwards = ", each is unpacked there and deleted" if options.mode == "unpack" else ""
    console.print(
        f"{in_bytes(facts['missing_bytes'])} of {in_bytes(facts['size_bytes'])} to {facts['to']} by {options.engine}"
        f"{afterwards}{free}"
    )


def result_facts(
    names: Sequence[str], results: Sequence[CopyResult], unpacked: "Mapping[str, Unpacked]", done: Collection[str]
) -> list[dict[str, Any]]:
    """What has become of each archive, as --json prints it."""
    by_name = {result.name: result for result in results}
    rows = [{"name": name, "state": "unpacked", "is_ok": True} for name in sorted(done)]
    for name in names:
        result = by_name.get(name)
        row: dict[str, Any] = {"name": name} | (asdict(result) | {"is_ok": result.is_ok} if result else {"is_ok": True})
        if name in unpacked:
            found = unpacked[name]
            row |= {"unpacked": found.state, "is_ok": row["is_ok"] and found.state == "unpacked"}
            if found.checksum is not None:
                row["checksum"] = found.checksum
        rows.append(row)
    return rows


def print_results(
    rows: Sequence[Mapping[str, Any]], options: CopyOptions, to: Location, console: Console, messages: Console
) -> None:
    """The same for people, on `console`; `messages` has told already what was wrong, when it happened."""
    table, notes = _table("archive", "state", "SHA256", "size", "moved", "MB/s"), []
    for row in rows:
        seconds, moved = row.get("seconds", 0.0), row.get("moved_bytes", 0)
        rate = f"{moved / seconds / 1e6:.1f}" if moved and seconds else ""
        unpacked = row.get("unpacked", "")
        if unpacked not in ("", "unpacked", "failed"):
            notes.append(f"{row['name']}: {unpacked}")
            unpacked = "in part"
        if row.get("message"):
            notes.append(row["message"])
        state = unpacked or row.get("state", "")
        size = in_bytes(row["size_bytes"]) if row["is_ok"] and "size_bytes" in row else ""
        table.add_row(row["name"], state, row.get("checksum", ""), size, in_bytes(moved) if moved else "", rate)
    console.print(table)
    # A file has to stand alone.
    for note in () if are_one(console, messages) else notes:
        console.print(note)
    unchecked = [row["name"] for row in rows if row["is_ok"] and row.get("checksum") == "not checked"]
    if unchecked:
        console.print(f"SHA256 not checked: {', '.join(unchecked)}; {_what_would_check(options, to)}")


def _what_would_check(options: CopyOptions, to: Location) -> str:
    """A digest that is published, but could not be compared."""
    if options.mode == "volumes":
        return "a part of an archive has no digest; copying without --volumes compares all of it"
    place = shlex.quote(str(to))
    return f"`mrikit data unpack {place} --to {place}` reads all of it and compares"


def next_command(options: CopyOptions, to: Location) -> str:
    """What to do now."""
    place = shlex.quote(str(to))
    return f"mrikit data unpack {place} --to {place}" if options.mode == "copy" else f"mrikit data index {place}"


def _planned(one: Planned, now: datetime) -> dict[str, Any]:
    expires_at = one.archive.link.expires_at
    return {
        "name": one.archive.name,
        "state": one.state,
        "size_bytes": one.size_bytes,
        "present_bytes": one.present_bytes,
        "missing_bytes": one.size_bytes - one.present_bytes,
        "expires_at": expires_at.isoformat() if expires_at else None,
        "seconds_left": round((expires_at - now).total_seconds()) if expires_at else None,
        "error": one.error or None,
        "note": one.note or None,
    }


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="")
    for column in columns:
        is_number = column in ("size", "there", "to come", "moved", "MB/s")
        # A narrow terminal folds names; nothing is cut off.
        table.add_column(column, justify="right" if is_number else "left", no_wrap=column != "archive", overflow="fold")
    return table
