"""What `mrikit data copy` prints: the plan before, the states afterwards."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.copy_options import CopyOptions
from mrikit.errors import StorageError
from mrikit.storage import BlobPath, Location
from mrikit.transfer.copying.plan import PlannedArchive, free_bytes
from mrikit.transfer.results import CopyResult

_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def plan_facts(plan: Sequence[PlannedArchive], to: Location, done: Collection[str]) -> dict[str, Any]:
    """What will be done, as --json prints it."""
    now = datetime.now(UTC)
    try:
        free = None if isinstance(to, BlobPath) else free_bytes(to)
    except StorageError:
        free = None
    return {
        "to": str(to),
        "archives": [_planned(one, now) for one in plan],
        "unpacked_before": sorted(done),
        "size_bytes": sum(one.size_bytes for one in plan),
        "missing_bytes": sum(one.missing_bytes for one in plan),
        "free_bytes": free,
    }


def print_plan(facts: Mapping[str, Any], options: CopyOptions, console: Console) -> None:
    """The same for people."""
    table = _table("archive", "size", "there", "to come", "link")
    for one in facts["archives"]:
        sizes = ["?"] * 3 if one["error"] else [
            in_bytes(one[field]) for field in ("size_bytes", "present_bytes", "missing_bytes")
        ]  # fmt: skip
        table.add_row(one["name"], *sizes, one["error"] or _left(one["seconds_left"]))
    console.print(table)
    for name in facts["unpacked_before"]:
        console.print(f"{name}: unpacked and verified before")
    if options.mode == "volumes":
        console.print(f"the first {options.volumes} volumes of each go to {facts['to']}; no archive is kept")
        return
    free = f"; {in_bytes(facts['free_bytes'])} of disk are free" if facts["free_bytes"] is not None else ""
    afterwards = ", each is unpacked there and deleted" if options.mode == "unpack" else ""
    console.print(
        f"{in_bytes(facts['missing_bytes'])} of {in_bytes(facts['size_bytes'])} to {facts['to']} by {options.engine}"
        f"{afterwards}{free}"
    )


def result_facts(
    plan: Sequence[PlannedArchive], results: Sequence[CopyResult], unpacked: Mapping[str, str], done: Collection[str]
) -> list[dict[str, Any]]:
    """What has become of each archive, as --json prints it."""
    by_name = {result.name: result for result in results}
    rows = [{"name": name, "state": "unpacked", "is_ok": True} for name in sorted(done)]
    for one in plan:
        name = one.archive.name
        result = by_name.get(name)
        row: dict[str, Any] = {"name": name} | (asdict(result) | {"is_ok": result.is_ok} if result else {"is_ok": True})
        if name in unpacked:
            row |= {"unpacked": unpacked[name], "is_ok": row["is_ok"] and unpacked[name] == "unpacked"}
        rows.append(row)
    return rows


def print_results(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """The same for people."""
    table = _table("archive", "state", "SHA256", "size", "moved", "MB/s")
    for row in rows:
        seconds, moved = row.get("seconds", 0.0), row.get("moved_bytes", 0)
        rate = f"{moved / seconds / 1e6:.1f}" if moved and seconds else ""
        state = row.get("unpacked") or row.get("state", "")
        size = in_bytes(row["size_bytes"]) if "size_bytes" in row else ""
        table.add_row(row["name"], state, row.get("checksum", ""), size, in_bytes(moved) if moved else "", rate)
    console.print(table)
    for row in rows:
        if row.get("message"):
            console.print(row["message"])


def next_command(options: CopyOptions, to: Location) -> str:
    """What to do now."""
    place = shlex.quote(str(to))
    return f"mrikit data unpack {place} --to {place}" if options.mode == "copy" else f"mrikit data index {place}"


def in_bytes(count: int) -> str:
    """Decimal units, as links and disks are sold: `93.8 GB`."""
    for size, unit in _UNITS:
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def _planned(one: PlannedArchive, now: datetime) -> dict[str, Any]:
    expires_at = one.archive.link.expires_at
    return {
        "name": one.archive.name,
        "size_bytes": one.size_bytes,
        "present_bytes": one.present_bytes,
        "missing_bytes": one.missing_bytes,
        "expires_at": expires_at.isoformat() if expires_at else None,
        "seconds_left": round((expires_at - now).total_seconds()) if expires_at else None,
        "error": str(one.error) if one.error else None,
    }


def _left(seconds: int | None) -> str:
    """Time left by this machine's clock; the server's decides."""
    if seconds is None:
        return ""
    if seconds < 0:
        return "expired by this machine's clock"
    hours, minutes = divmod(timedelta(seconds=seconds) // timedelta(minutes=1), 60)
    return f"{hours // 24} d {hours % 24} h left" if hours >= 24 else f"{hours} h {minutes} min left"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="")
    for column in columns:
        is_number = column in ("size", "there", "to come", "moved", "MB/s")
        table.add_column(column, justify="right" if is_number else "left", no_wrap=column != "link")
    return table
